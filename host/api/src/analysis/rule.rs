//! Matches a `metricName` of `dryRun` or `measurementRetention` to metrics.

use regex::Regex;

/// `*` alone is not a valid expression, but matches every metric.
const ALL: &str = "*";

/// A regular expression that matches anywhere in a metric's name, as with Argo.
#[derive(Clone, Debug)]
pub enum MetricRule {
    All,
    Matching(Regex),
}

impl MetricRule {
    /// # Errors
    /// If the text is not a regular expression.
    pub fn parse(text: &str) -> Result<Self, regex::Error> {
        if text == ALL { Ok(Self::All) } else { Regex::new(text).map(Self::Matching) }
    }

    #[must_use]
    pub fn matches(&self, metric: &str) -> bool {
        match self {
            Self::All => true,
            Self::Matching(pattern) => pattern.is_match(metric),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_matches_anywhere_in_the_name() {
        for (rule, metric, matches) in [
            ("*", "latency", true),
            (".*", "latency", true),
            ("latency", "latency", true),
            ("laten", "http-latency", true),
            ("^laten", "http-latency", false),
            ("errors", "latency", false),
        ] {
            assert_eq!(MetricRule::parse(rule).unwrap().matches(metric), matches, "{rule} {metric}");
        }
    }

    #[test]
    fn an_invalid_expression_is_rejected() {
        assert!(MetricRule::parse("a(").is_err());
    }
}
