//! Validation errors, in the API server's wording.

use serde_json::Value;

/// One entry of `details.causes` of a 422.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    pub reason: Reason,
    /// Without the field, such as `Required value`.
    pub message: String,
    /// Such as `spec.replicas`.
    pub field: String,
}

/// `reason` of a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Duplicate,
    Forbidden,
    Invalid,
    NotSupported,
    Required,
    TooLong,
    TooMany,
    TypeInvalid,
}

impl Reason {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Required => "FieldValueRequired",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    /// Rules are not evaluated on an object whose structure or size is invalid.
    pub(super) const fn blocks_rules(self) -> bool {
        matches!(self, Self::NotSupported | Self::Required | Self::TooLong | Self::TooMany | Self::TypeInvalid)
    }
}

impl Cause {
    fn new(reason: Reason, field: &str, message: String) -> Self {
        Self { reason, message, field: field.trim_start_matches('.').to_owned() }
    }

    pub(crate) fn required(field: &str, detail: &str) -> Self {
        Self::new(Reason::Required, field, with_detail("Required value".to_owned(), detail))
    }

    pub(crate) fn forbidden(field: &str, detail: &str) -> Self {
        Self::new(Reason::Forbidden, field, with_detail("Forbidden".to_owned(), detail))
    }

    pub(crate) fn invalid(field: &str, value: &Value, detail: &str) -> Self {
        Self::new(Reason::Invalid, field, with_detail(format!("Invalid value: {value}"), detail))
    }

    /// A field that is named by its path, including the leading dot.
    pub(super) fn at_path(path: &str, value: &Value, detail: &str) -> Self {
        let message = with_detail(format!("Invalid value: {value}"), detail);
        Self { reason: Reason::Invalid, message, field: path.to_owned() }
    }

    pub(super) fn wrong_type(field: &str, value: &Value, wanted: &str, data: &str) -> Self {
        let name = field.trim_start_matches('.');
        let detail = format!("{name} in body must be of type {wanted}: {data:?}");
        Self::new(Reason::TypeInvalid, field, with_detail(format!("Invalid value: {value}"), &detail))
    }

    pub(super) fn duplicate(field: &str, value: &Value) -> Self {
        Self::new(Reason::Duplicate, field, format!("Duplicate value: {value}"))
    }

    pub(crate) fn not_supported(field: &str, value: &Value, supported: &[Value]) -> Self {
        let shown = |value: &Value| format!("{:?}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let supported: Vec<String> = supported.iter().map(shown).collect();
        let detail = format!("supported values: {}", supported.join(", "));
        Self::new(Reason::NotSupported, field, with_detail(format!("Unsupported value: {value}"), &detail))
    }

    pub(crate) fn too_long(field: &str, max: u64) -> Self {
        let unit = if max == 1 { "byte" } else { "bytes" };
        Self::new(Reason::TooLong, field, format!("Too long: may not be more than {max} {unit}"))
    }

    pub(super) fn too_many(field: &str, actual: usize, max: u64) -> Self {
        let unit = if max == 1 { "item" } else { "items" };
        Self::new(Reason::TooMany, field, format!("Too many: {actual}: must have at most {max} {unit}"))
    }

    pub(super) fn unchecked_rules() -> Self {
        let words = "Invalid value: null: some validation rules were not checked because the object was invalid; \
                     correct the existing errors to complete validation";
        Self { reason: Reason::Invalid, message: words.to_owned(), field: "<nil>".to_owned() }
    }

    /// The causes as the message of the Status ends: `Rollout.argoproj.io "a" is invalid: ` and this.
    #[must_use]
    pub fn joined(causes: &[Self]) -> String {
        let mut parts: Vec<String> = Vec::new();
        for part in causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)) {
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        match parts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        }
    }
}

fn with_detail(body: String, detail: &str) -> String {
    if detail.is_empty() { body } else { format!("{body}: {detail}") }
}
