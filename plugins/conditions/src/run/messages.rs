//! Error messages that quote the expression.

use super::Run;
use crate::syntax::{Kind, Node, Operator};
use crate::types::Type;
use crate::value::Value;

impl Run<'_> {
    pub(super) fn source(&self, node: &Node) -> &str {
        self.context.expression.get(node.from..node.to).unwrap_or_default().trim()
    }

    pub(super) fn mismatch(&self, operator: Operator, operands: &[(&Node, &Value)]) -> String {
        let are: Vec<String> = operands
            .iter()
            .map(|(node, value)| format!("{} is {}", self.source(node), Type::of(value).name()))
            .collect();
        let hint = operands.iter().find_map(|(node, value)| self.hint(node, value));
        match hint {
            Some(hint) => format!("{hint} ({} cannot be applied to a list)", operator.text()),
            None => format!("{} cannot be applied: {}", operator.text(), are.join(", ")),
        }
    }

    pub(super) fn with_hint(&self, arguments: &[Node], values: &[Value], message: String) -> String {
        let hint = arguments.iter().zip(values).find_map(|(node, value)| self.hint(node, value));
        hint.map_or_else(|| message.clone(), |hint| format!("{hint} ({message})"))
    }

    /// How to select one element of a list, which may have been the intention.
    pub(super) fn hint(&self, node: &Node, value: &Value) -> Option<String> {
        let list = self.source(node);
        let is_list = matches!(value, Value::List(_)) && !matches!(node.kind, Kind::List(_));
        is_list.then(|| format!("{list} is a list: write {list}[0]"))
    }
}
