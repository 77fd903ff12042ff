//! Errors of an object's fields.

use std::fmt;

/// One error of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Such as `spec.strategy.canary.steps[2].setWeight`; empty for the object as a whole.
    pub path: String,
    pub message: String,
}

impl std::error::Error for FieldError {}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

/// All errors in one line, for the message of the `InvalidSpec` condition.
#[must_use]
pub fn joined(errors: &[FieldError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The path of a field, in the notation of users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    #[must_use]
    pub fn new(start: &str) -> Self {
        Self(start.to_owned())
    }

    /// A key that is not a plain name is quoted in brackets.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let parent = self.0.as_str();
        // Validation builds many paths in every reconciliation. Joining costs a quarter of formatting.
        Self(match (plain, parent.is_empty()) {
            (true, true) => name.to_owned(),
            (true, false) => [parent, ".", name].concat(),
            (false, _) => format!("{parent}[{name:?}]"),
        })
    }

    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn error(&self, message: impl Into<String>) -> FieldError {
        FieldError { path: self.0.clone(), message: message.into() }
    }
}

/// Collects all errors, so that a user can fix them at once.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<FieldError>);

impl Faults {
    pub(crate) fn add(&mut self, path: &Path, message: impl Into<String>) {
        self.0.push(path.error(message));
    }

    pub(crate) fn add_if(&mut self, wrong: bool, path: &Path, message: impl Into<String>) {
        if wrong {
            self.add(path, message);
        }
    }

    pub(crate) fn push(&mut self, error: FieldError) {
        self.0.push(error);
    }

    /// Rejects a negative number.
    pub(crate) fn not_negative(&mut self, number: Option<i32>, path: &Path) {
        self.add_if(number.is_some_and(|number| number < 0), path, "must not be negative");
    }

    /// Rejects an empty text.
    pub(crate) fn required(&mut self, text: &str, path: &Path) {
        self.add_if(text.is_empty(), path, "is required");
    }

    /// Rejects a field that Argo Rollouts has and this build does not support.
    pub(crate) fn unsupported(&mut self, present: bool, path: &Path) {
        self.add_if(present, path, "is not supported by this version of KULTA");
    }

    pub(crate) fn done(self) -> Result<(), Vec<FieldError>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_no_plain_name_is_quoted_in_the_path() {
        let path = Path::new("plugins").field("argoproj-labs/gatewayAPI").field("httpRoutes").index(1);

        assert_eq!(path.as_str(), "plugins[\"argoproj-labs/gatewayAPI\"].httpRoutes[1]");
    }

    #[test]
    fn several_errors_are_reported_in_one_line() {
        let errors = [Path::new("a").error("is wrong"), Path::new("b").error("too")];

        assert_eq!(joined(&errors), "a: is wrong; b: too");
    }
}
