//! Limits: `< 1%`, `<= 0.01`, `< 300ms`.

use std::fmt;

const HUNDRED: f64 = 100.0;
/// Milliseconds of each unit. Longer names first: `m` is a prefix of others.
const TIME_UNITS: [(&str, f64); 5] = [("ms", 1.0), ("us", 0.001), ("µs", 0.001), ("s", 1_000.0), ("m", 60_000.0)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    ErrorRate,
    SuccessRate,
    Latency,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A limit of a quantity. Rates are 0 to 1, latencies are milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    comparison: Comparison,
    bound: f64,
    quantity: Quantity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitError(Quantity);

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Quantity::ErrorRate => "not a limit: write what it must stay below, for example \"< 1%\" or \"<= 0.01\"",
            Quantity::SuccessRate => "not a limit: write what it must stay above, for example \"> 99%\" or \">= 0.99\"",
            Quantity::Latency => "not a limit: write what it must stay below, for example \"< 300ms\" or \"<= 1.5s\"",
        })
    }
}

impl Limit {
    pub fn read(text: &str, quantity: Quantity) -> Result<Self, LimitError> {
        Self::parse(text, quantity).ok_or(LimitError(quantity))
    }

    fn parse(text: &str, quantity: Quantity) -> Option<Self> {
        const COMPARISONS: [(&str, Comparison); 4] = [
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        let text = text.trim();
        let (comparison, rest) =
            COMPARISONS.iter().find_map(|(sign, comparison)| Some((*comparison, text.strip_prefix(sign)?)))?;
        let upper = matches!(comparison, Comparison::Less | Comparison::LessOrEqual);
        if upper == (quantity == Quantity::SuccessRate) {
            return None;
        }
        let bound = match quantity {
            Quantity::ErrorRate | Quantity::SuccessRate => rate(rest)?,
            Quantity::Latency => millis(rest)?,
        };
        Some(Self { comparison, bound, quantity })
    }

    /// NaN satisfies no limit.
    pub fn holds(&self, measured: f64) -> bool {
        match self.comparison {
            Comparison::Less => measured < self.bound,
            Comparison::LessOrEqual => measured <= self.bound,
            Comparison::Greater => measured > self.bound,
            Comparison::GreaterOrEqual => measured >= self.bound,
        }
    }

    /// A measured quantity for users.
    pub fn shown(&self, measured: f64) -> String {
        match self.quantity {
            Quantity::ErrorRate | Quantity::SuccessRate => format!("{} %", rounded(measured * HUNDRED, 4)),
            Quantity::Latency => format!("{} ms", rounded(measured, 1)),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.comparison {
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        };
        write!(f, "{sign} {}", self.shown(self.bound))
    }
}

/// At most this number of decimals, without trailing zeros.
pub fn rounded(number: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (number * scale).round() / scale
}

fn rate(text: &str) -> Option<f64> {
    let text = text.trim();
    let rate = match text.strip_suffix('%') {
        Some(percent) => number(percent)? / HUNDRED,
        None => number(text)?,
    };
    (rate <= 1.0).then_some(rate)
}

fn millis(text: &str) -> Option<f64> {
    let text = text.trim();
    let (digits, unit) = TIME_UNITS.iter().find_map(|(name, millis)| Some((text.strip_suffix(name)?, millis)))?;
    Some(number(digits)? * unit)
}

/// Digits with at most one point.
fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let plain = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_shown() {
        for (text, quantity, shown) in [
            ("< 1%", Quantity::ErrorRate, "< 1 %"),
            ("<0.5 %", Quantity::ErrorRate, "< 0.5 %"),
            (" <= 0.01 ", Quantity::ErrorRate, "<= 1 %"),
            ("> 99.9%", Quantity::SuccessRate, "> 99.9 %"),
            (">= 0.99", Quantity::SuccessRate, ">= 99 %"),
            ("< 300ms", Quantity::Latency, "< 300 ms"),
            ("<= 1.5s", Quantity::Latency, "<= 1500 ms"),
            ("< 500us", Quantity::Latency, "< 0.5 ms"),
            ("< 1 m", Quantity::Latency, "< 60000 ms"),
        ] {
            assert_eq!(Limit::read(text, quantity).map(|limit| limit.to_string()), Ok(shown.into()), "{text}");
        }
    }

    #[test]
    fn an_invalid_limit_is_rejected() {
        for (text, quantity) in [
            ("", Quantity::ErrorRate),
            ("1%", Quantity::ErrorRate),
            ("> 1%", Quantity::ErrorRate),
            ("< 101%", Quantity::ErrorRate),
            ("< 1", Quantity::SuccessRate),
            ("< -1%", Quantity::ErrorRate),
            ("< inf", Quantity::ErrorRate),
            ("< 1e-3", Quantity::ErrorRate),
            ("== 1%", Quantity::ErrorRate),
            ("< 300", Quantity::Latency),
            ("< ms", Quantity::Latency),
            ("> 300ms", Quantity::Latency),
            ("< 1h", Quantity::Latency),
            ("< 1%", Quantity::Latency),
        ] {
            assert_eq!(Limit::read(text, quantity), Err(LimitError(quantity)), "{text}");
        }
    }

    #[test]
    fn a_limit_holds_on_its_own_side() {
        let below = Limit::read("< 1%", Quantity::ErrorRate).unwrap();
        let at_most = Limit::read("<= 1%", Quantity::ErrorRate).unwrap();
        let above = Limit::read("> 99%", Quantity::SuccessRate).unwrap();
        assert_eq!([0.009, 0.01, 0.011, f64::NAN].map(|rate| below.holds(rate)), [true, false, false, false]);
        assert_eq!([0.01, 0.011].map(|rate| at_most.holds(rate)), [true, false]);
        assert_eq!([0.991, 0.99, f64::NAN].map(|rate| above.holds(rate)), [true, false, false]);
    }
}
