//! Label selectors: `a=b,c!=d,e in (x,y),f notin (z),!g,h`, or a `LabelSelector` object.

use std::collections::BTreeSet;

use serde_json::Value;

use super::SelectorError;
use super::names::{key_faults, value_faults};

/// A label selector; all of its requirements must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists,
    Absent,
    Above(i64),
    Below(i64),
}

impl Labels {
    /// # Errors
    /// An invalid selector, with the API server's message.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        Parser { tokens: tokens(text), at: 0 }.selector().map(|requirements| Self { requirements })
    }

    /// The selector of an object, such as `spec.selector` of a ReplicaSet: `matchLabels` and `matchExpressions`. An empty one selects all.
    ///
    /// # Errors
    /// An operator that a label selector does not have.
    pub fn of_object(selector: &Value) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            let value = value.as_str().unwrap_or_default().to_owned();
            requirements.push(Requirement { key: key.clone(), test: Test::In(BTreeSet::from([value])) });
        }
        for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
            let text = |field: &str| expression.get(field).and_then(Value::as_str).unwrap_or_default();
            let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
            let values = values.filter_map(Value::as_str).map(str::to_owned).collect();
            let test = match text("operator") {
                "In" => Test::In(values),
                "NotIn" => Test::NotIn(values),
                "Exists" => Test::Exists,
                "DoesNotExist" => Test::Absent,
                other => return Err(SelectorError(format!("{other:?} is not a valid label selector operator"))),
            };
            requirements.push(Requirement { key: text("key").to_owned(), test });
        }
        Ok(Self { requirements })
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// True if an object matches, by its `metadata.labels`.
    #[must_use]
    pub fn matches(&self, object: &Value) -> bool {
        let labels = object.get("metadata").and_then(|metadata| metadata.get("labels"));
        self.requirements.iter().all(|requirement| {
            let value = labels.and_then(|labels| labels.get(&requirement.key)).and_then(Value::as_str);
            requirement.test.holds(value)
        })
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match self {
            Self::In(values) => value.is_some_and(|value| values.contains(value)),
            Self::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Self::Exists => value.is_some(),
            Self::Absent => value.is_none(),
            Self::Above(bound) => number().is_some_and(|number| number > *bound),
            Self::Below(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Symbol(&'static str),
    End,
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Symbol(symbol) => symbol,
            Self::End => "",
        }
    }
}

/// Longest first, so that `==` is not read as two `=`.
const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];
const OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

fn tokens(text: &str) -> Vec<Token> {
    let blank = |letter: char| matches!(letter, ' ' | '\t' | '\r' | '\n');
    let special = |letter: char| matches!(letter, '=' | '!' | '(' | ')' | ',' | '>' | '<');
    let mut rest = text.trim_start_matches(blank);
    let mut found = Vec::new();
    while !rest.is_empty() {
        let symbol = SYMBOLS.into_iter().find_map(|symbol| Some((symbol, rest.strip_prefix(symbol)?)));
        if let Some((symbol, after)) = symbol {
            found.push(Token::Symbol(symbol));
            rest = after;
        } else {
            let end = rest.find(|letter| blank(letter) || special(letter)).unwrap_or(rest.len());
            let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            found.push(Token::Word(word.to_owned()));
            rest = after;
        }
        rest = rest.trim_start_matches(blank);
    }
    found.push(Token::End);
    found
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

type Parsed<T> = Result<T, SelectorError>;

fn unexpected<T>(found: &Token, expected: &str) -> Parsed<T> {
    Err(SelectorError(format!("found '{}', expected: {expected}", found.text())))
}

impl Parser {
    fn peek(&self) -> Token {
        self.tokens.get(self.at).cloned().unwrap_or(Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn selector(&mut self) -> Parsed<Vec<Requirement>> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                Token::End => return Ok(requirements),
                Token::Word(_) | Token::Symbol("!") => {}
                other => return unexpected(&other, "!, identifier, or 'end of string'"),
            }
            let requirement =
                self.requirement().map_err(|error| SelectorError(format!("unable to parse requirement: {error}")))?;
            requirements.push(requirement);
            match self.next() {
                Token::End => return Ok(requirements),
                Token::Symbol(",") => match self.peek() {
                    Token::Word(_) | Token::Symbol("!") => {}
                    other => return unexpected(&other, "identifier after ','"),
                },
                other => return unexpected(&other, "',' or 'end of string'"),
            }
        }
    }

    fn requirement(&mut self) -> Parsed<Requirement> {
        let negated = self.peek() == Token::Symbol("!");
        if negated {
            self.at += 1;
        }
        let key = match self.next() {
            Token::Word(key) => key,
            other => return unexpected(&other, "identifier"),
        };
        let faults = key_faults(&key);
        if !faults.is_empty() {
            return Err(SelectorError(format!("<nil>: Invalid value: {key:?}: {}", faults.join("; "))));
        }
        if negated {
            return Ok(Requirement { key, test: Test::Absent });
        }
        if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            return Ok(Requirement { key, test: Test::Exists });
        }
        let operator = self.next();
        let test = match operator.text() {
            "in" => Test::In(self.values()?),
            "notin" => Test::NotIn(self.values()?),
            "=" | "==" => Test::In(BTreeSet::from([self.value()?])),
            "!=" => Test::NotIn(BTreeSet::from([self.value()?])),
            ">" => Test::Above(self.bound()?),
            "<" => Test::Below(self.bound()?),
            _ => return unexpected(&operator, OPERATORS),
        };
        if let Test::In(values) | Test::NotIn(values) = &test {
            check(&key, values)?;
        }
        Ok(Requirement { key, test })
    }

    fn value(&mut self) -> Parsed<String> {
        if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            return Ok(String::new());
        }
        match self.next() {
            Token::Word(value) => Ok(value),
            other => unexpected(&other, "identifier"),
        }
    }

    fn bound(&mut self) -> Parsed<i64> {
        let value = self.value()?;
        value.parse().map_err(|_| {
            SelectorError(format!(
                "values[0]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer"
            ))
        })
    }

    fn values(&mut self) -> Parsed<BTreeSet<String>> {
        let open = self.next();
        if open != Token::Symbol("(") {
            return Err(SelectorError(format!("found '{}' expected: '('", open.text())));
        }
        let mut values = BTreeSet::new();
        loop {
            values.insert(match self.peek() {
                Token::Word(value) => {
                    self.at += 1;
                    value
                }
                Token::Symbol("," | ")") => String::new(),
                other => return unexpected(&other, "',', ')' or identifier"),
            });
            match self.next() {
                Token::Symbol(",") => {}
                Token::Symbol(")") => return Ok(values),
                other => return unexpected(&other, "',' or ')'"),
            }
        }
    }
}

fn check(key: &str, values: &BTreeSet<String>) -> Parsed<()> {
    let refused = values.iter().enumerate().filter_map(|(index, value)| {
        let faults = value_faults(value);
        (!faults.is_empty()).then(|| format!("values[{index}][{key}]: Invalid value: {value:?}: {}", faults.join("; ")))
    });
    let refused: Vec<String> = refused.collect();
    match refused.as_slice() {
        [] => Ok(()),
        [one] => Err(SelectorError(one.clone())),
        many => Err(SelectorError(format!("[{}]", many.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(selector: &str, labels: Value) -> bool {
        Labels::parse(selector).unwrap().matches(&json!({ "metadata": { "labels": labels } }))
    }

    fn refused(selector: &str) -> String {
        Labels::parse(selector).unwrap_err().to_string()
    }

    #[test]
    fn equality_needs_the_label() {
        assert!(matches("a=b", json!({ "a": "b" })));
        assert!(matches("a == b", json!({ "a": "b" })));
        assert!(!matches("a=b", json!({})));
    }

    #[test]
    fn inequality_holds_for_an_absent_label() {
        assert!(matches("a!=b", json!({})));
        assert!(!matches("a!=b", json!({ "a": "b" })));
    }

    #[test]
    fn a_set_takes_any_of_its_values() {
        assert!(matches("a in (x, y)", json!({ "a": "y" })));
        assert!(!matches("a in (x,y)", json!({ "a": "z" })));
        assert!(matches("a notin (x)", json!({})));
        assert!(!matches("a notin (x)", json!({ "a": "x" })));
    }

    #[test]
    fn presence_and_absence_test_the_key_alone() {
        assert!(matches("a,!b", json!({ "a": "" })));
        assert!(!matches("a,!b", json!({ "a": "", "b": "" })));
    }

    #[test]
    fn numbers_compare_by_size() {
        assert!(matches("a>9", json!({ "a": "10" })));
        assert!(!matches("a<9", json!({ "a": "10" })));
    }

    #[test]
    fn operators_may_be_values_and_keys() {
        assert!(matches("in in (in,notin)", json!({ "in": "notin" })));
    }

    #[test]
    fn an_empty_selector_matches_everything() {
        assert!(matches("", json!({})));
    }

    #[test]
    fn an_empty_value_in_a_set_is_the_empty_text() {
        assert!(matches("a in (,b)", json!({ "a": "" })));
        assert!(matches("a in ()", json!({ "a": "" })));
    }

    #[test]
    fn a_second_operator_is_rejected() {
        assert_eq!(refused("a=b=c"), "found '=', expected: ',' or 'end of string'");
    }

    #[test]
    fn a_dangling_comma_is_rejected() {
        assert_eq!(refused("a=b,"), "found '', expected: identifier after ','");
    }

    #[test]
    fn a_missing_operator_is_rejected() {
        assert_eq!(refused("a b"), "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt");
    }

    #[test]
    fn a_bad_key_is_rejected_with_the_rule() {
        let words = refused("-a=b");

        assert!(words.starts_with(
            r#"unable to parse requirement: <nil>: Invalid value: "-a": name part must consist of alphanumeric characters"#
        ));
    }

    #[test]
    fn a_bad_value_is_rejected_with_its_position() {
        let words = refused("a=-b");

        assert!(
            words.starts_with(
                r#"unable to parse requirement: values[0][a]: Invalid value: "-b": a valid label must be"#
            )
        );
    }

    #[test]
    fn an_object_selector_joins_its_labels_and_expressions() {
        let selector = json!({
            "matchLabels": { "app": "shop" },
            "matchExpressions": [{ "key": "tier", "operator": "NotIn", "values": ["db"] }],
        });

        let labels = Labels::of_object(&selector).unwrap();

        assert!(labels.matches(&json!({ "metadata": { "labels": { "app": "shop" } } })));
        assert!(!labels.matches(&json!({ "metadata": { "labels": { "app": "shop", "tier": "db" } } })));
    }
}
