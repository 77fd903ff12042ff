//! The labels of a series, sorted by name.

use std::collections::BTreeMap;

/// The label that holds a series' metric name.
pub const NAME: &str = "__name__";
/// The label that holds a histogram bucket's upper bound.
pub const BUCKET: &str = "le";

/// Names and values, sorted by name. A label with an empty value is absent, as in Prometheus.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// The labels of a series of the metric `name`.
    pub fn metric(name: &str) -> Self {
        Self::default().with(NAME, name)
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    pub fn set(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.0.remove(name);
        } else {
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }

    /// The value, or the empty text.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    #[must_use]
    pub fn without(mut self, names: &[impl AsRef<str>]) -> Self {
        for name in names {
            self.0.remove(name.as_ref());
        }
        self
    }

    /// Without the metric's name, as after a calculation.
    #[must_use]
    pub fn nameless(self) -> Self {
        self.without(&[NAME])
    }

    #[must_use]
    pub fn only(mut self, names: &[impl AsRef<str>]) -> Self {
        self.0.retain(|name, _| names.iter().any(|kept| kept.as_ref() == name));
        self
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Labels {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a str)>>(pairs: T) -> Self {
        let mut labels = Self::default();
        for (name, value) in pairs {
            labels.set(name, value);
        }
        labels
    }
}

impl std::fmt::Display for Labels {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pairs: Vec<String> = self.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        write!(to, "{{{}}}", pairs.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_is_an_absent_label() {
        let labels = Labels::metric("up").with("pod", "a").with("pod", "");

        assert_eq!(labels, Labels::metric("up"));
    }

    #[test]
    fn only_the_named_labels_are_kept() {
        let labels = Labels::metric("up").with("pod", "a").with("code", "200");

        assert_eq!(labels.only(&["pod", "zone"]), Labels::default().with("pod", "a"));
    }
}
