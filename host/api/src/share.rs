//! Values that are a count or a percentage.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::strategy::ReplicaProgressThreshold;

/// `maxSurge` and `maxUnavailable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    Count(u32),
    Percent(u32),
}

/// Default of `maxSurge` and `maxUnavailable`.
pub const DEFAULT_SHARE: Share = Share::Percent(25);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    #[error("must not be negative")]
    Negative,
    #[error("{0:?} is neither a number nor a percentage such as \"25%\"")]
    Malformed(String),
}

impl Share {
    /// Text without a percent sign is a percentage too: Argo Rollouts parses `"25"` this way.
    ///
    /// # Errors
    /// If the value is negative, or text that is not a percentage.
    pub fn parse(value: &IntOrString) -> Result<Self, ShareError> {
        match value {
            IntOrString::Int(count) => u32::try_from(*count).map(Self::Count).map_err(|_| ShareError::Negative),
            IntOrString::String(text) => {
                let number = text.strip_suffix('%').unwrap_or(text);
                match number.strip_prefix('-') {
                    Some(rest) if is_number(rest) => Err(ShareError::Negative),
                    None if is_number(number) => {
                        number.parse().map(Self::Percent).map_err(|_| ShareError::Malformed(text.clone()))
                    }
                    _ => Err(ShareError::Malformed(text.clone())),
                }
            }
        }
    }

    #[must_use]
    pub const fn is_zero(self) -> bool {
        matches!(self, Self::Count(0) | Self::Percent(0))
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

/// Number of a revision's pods that must be available before it counts as ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressThreshold {
    /// 0 to 100.
    Percent(u32),
    Pods(u32),
}

impl ProgressThreshold {
    /// Every pod: the meaning of an absent or negative threshold.
    pub const ALL: Self = Self::Percent(100);
}

impl ReplicaProgressThreshold {
    /// `None` for an unknown type. Argo Rollouts' documentation spells `Pods` as `Pod`.
    #[must_use]
    pub fn threshold(&self) -> Option<ProgressThreshold> {
        let value = u32::try_from(self.value);
        match self.kind.as_str() {
            "Percent" => Some(value.map_or(ProgressThreshold::ALL, ProgressThreshold::Percent)),
            "Pods" | "Pod" => Some(value.map_or(ProgressThreshold::ALL, ProgressThreshold::Pods)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> IntOrString {
        IntOrString::String(text.into())
    }

    #[test]
    fn a_share_is_a_count_or_a_percentage() {
        for (written, read) in [
            (IntOrString::Int(3), Share::Count(3)),
            (text("30%"), Share::Percent(30)),
            (text("150%"), Share::Percent(150)),
            (text("25"), Share::Percent(25)),
        ] {
            assert_eq!(Share::parse(&written), Ok(read), "{written:?}");
        }
    }

    #[test]
    fn a_negative_share_is_rejected() {
        for written in [IntOrString::Int(-1), text("-1%"), text("-1")] {
            assert_eq!(Share::parse(&written), Err(ShareError::Negative), "{written:?}");
        }
    }

    #[test]
    fn text_that_is_not_a_percentage_is_rejected() {
        for written in ["", "%", "-", "+5%", "5 %", "a quarter", "99999999999%", "1.5%"] {
            assert_eq!(Share::parse(&text(written)), Err(ShareError::Malformed(written.into())), "{written}");
        }
    }

    #[test]
    fn a_threshold_is_parsed_by_its_type() {
        for (kind, value, read) in [
            ("Percent", 90, Some(ProgressThreshold::Percent(90))),
            ("Percent", -1, Some(ProgressThreshold::ALL)),
            ("Pods", 3, Some(ProgressThreshold::Pods(3))),
            ("Pod", 3, Some(ProgressThreshold::Pods(3))),
            ("Pods", -1, Some(ProgressThreshold::ALL)),
            ("", 3, None),
            ("percent", 3, None),
        ] {
            let threshold = ReplicaProgressThreshold { kind: kind.into(), value };

            assert_eq!(threshold.threshold(), read, "{kind} {value}");
        }
    }
}
