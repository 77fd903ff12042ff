//! Names of new plugins.

use std::fmt;
use std::str::FromStr;

/// Limit of a DNS label; the Plugin object, the crate and the image have this name too.
const LONGEST: usize = 63;

/// Valid for a Plugin object, a crate, a Python project and an npm package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected lower-case letters, digits and \"-\", a letter first and no \"-\" last, at most {LONGEST} of them, such as error-rate"
)]
pub struct NameError;

impl FromStr for Name {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        let all = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        let ends = name.starts_with(|first: char| first.is_ascii_lowercase()) && !name.ends_with('-');
        if all && ends && name.len() <= LONGEST { Ok(Self(name.to_owned())) } else { Err(NameError) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_valid_for_an_object_and_a_crate() {
        for name in ["a", "error-rate", "p99"] {
            assert_eq!(name.parse::<Name>().map(|name| name.to_string()), Ok(name.to_owned()));
        }
        for name in ["", "-a", "a-", "9p", "Error", "error_rate", "error rate", "../a", &"a".repeat(LONGEST + 1)] {
            assert_eq!(name.parse::<Name>(), Err(NameError), "{name}");
        }
    }
}
