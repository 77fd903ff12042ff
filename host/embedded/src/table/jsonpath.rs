//! The part of JSONPath that printer columns use: `.a.b`, `['a']`, `[0]`, `[-1]`, `[*]`, `[?(@.type=="Ready")]`, and `\.` in a name.

use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    /// From the end if negative.
    Index(i64),
    All,
    /// Items for which a path leads to this value, or to another one.
    Where {
        path: JsonPath,
        value: Value,
        equal: bool,
    },
}

impl JsonPath {
    /// `None` for unsupported syntax.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix('$').unwrap_or(text);
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = match rest.strip_prefix('.') {
                Some(after) if after.starts_with('[') => bracket(after)?,
                Some(after) => field(after)?,
                None => bracket(rest)?,
            };
            steps.push(step);
            rest = after;
        }
        (!steps.is_empty()).then_some(Self { steps })
    }

    pub fn find<'a>(&self, root: &'a Value) -> Vec<&'a Value> {
        self.steps.iter().fold(vec![root], |found, step| found.into_iter().flat_map(|value| step.of(value)).collect())
    }
}

impl Step {
    fn of<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
        match self {
            Self::Field(name) => value.get(name).into_iter().collect(),
            Self::Index(index) => {
                let index = if *index < 0 { i64::try_from(items.len()).unwrap_or(i64::MAX) + index } else { *index };
                usize::try_from(index).ok().and_then(|index| items.get(index)).into_iter().collect()
            }
            Self::All => match value {
                Value::Object(object) => object.values().collect(),
                _ => items.iter().collect(),
            },
            Self::Where { path, value, equal } => {
                let holds = |item: &&Value| path.find(item).first().is_some_and(|found| (*found == value) == *equal);
                items.iter().filter(holds).collect()
            }
        }
    }
}

fn field(text: &str) -> Option<(Step, &str)> {
    if let Some(after) = text.strip_prefix('*') {
        return Some((Step::All, after));
    }
    let mut name = String::new();
    let mut letters = text.char_indices();
    let mut end = text.len();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => name.push(letters.next()?.1),
            '.' | '[' => {
                end = at;
                break;
            }
            other => name.push(other),
        }
    }
    (!name.is_empty()).then_some((Step::Field(name), text.get(end..)?))
}

fn bracket(text: &str) -> Option<(Step, &str)> {
    let inner = text.strip_prefix('[')?;
    if let Some(condition) = inner.strip_prefix("?(") {
        let (condition, after) = condition.split_once(")]")?;
        return Some((condition_of(condition)?, after));
    }
    for quote in ['\'', '"'] {
        if let Some(name) = inner.strip_prefix(quote) {
            let (name, after) = name.split_once(&format!("{quote}]"))?;
            return Some((Step::Field(name.replace('\\', "")), after));
        }
    }
    let (index, after) = inner.split_once(']')?;
    let step = if index == "*" { Step::All } else { Step::Index(index.parse().ok()?) };
    Some((step, after))
}

fn condition_of(text: &str) -> Option<Step> {
    let (path, value, equal) = match (text.split_once("=="), text.split_once("!=")) {
        (Some((path, value)), _) => (path, value, true),
        (None, Some((path, value))) => (path, value, false),
        (None, None) => return None,
    };
    let path = JsonPath::parse(path.trim().strip_prefix('@')?)?;
    let value = value.trim();
    let quoted = |quote: char| value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote));
    let value = match quoted('"').or_else(|| quoted('\'')) {
        Some(text) => Value::from(text),
        None => serde_json::from_str(value).ok()?,
    };
    Some(Step::Where { path, value, equal })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(path: &str) -> Vec<Value> {
        let object = json!({
            "metadata": { "annotations": { "a.io/b": "x" } },
            "list": [{ "type": "A", "v": 1 }, { "type": "B", "v": 2 }],
        });
        JsonPath::parse(path).unwrap().find(&object).into_iter().cloned().collect()
    }

    #[test]
    fn paths_of_printer_columns_lead_to_values() {
        assert_eq!(found(".list[0].v"), [json!(1)]);
        assert_eq!(found(".list[-1].v"), [json!(2)]);
        assert_eq!(found(".list[*].v"), [json!(1), json!(2)]);
        assert_eq!(found(r#".list[?(@.type=="B")].v"#), [json!(2)]);
        assert_eq!(found(r".metadata.annotations.a\.io/b"), [json!("x")]);
        assert_eq!(found(".metadata.annotations['a.io/b']"), [json!("x")]);
        assert_eq!(found(".nothing.here"), [] as [Value; 0]);
    }

    #[test]
    fn other_syntax_is_rejected() {
        for path in ["", "plain", ".a[", ".a[x]", ".a[?(@.b>1)]"] {
            assert_eq!(JsonPath::parse(path), None, "{path}");
        }
    }
}
