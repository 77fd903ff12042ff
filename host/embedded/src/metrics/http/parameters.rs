//! The parameters of a request: those of a POST form before those of the URL.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::answer::Refusal;

/// Unsupported parameters that would change an answer.
const UNSERVED: [&str; 2] = ["lookback_delta", "limit"];

/// The furthest time that is read, in seconds since the Unix epoch: what fits into a [`Timestamp`].
const FURTHEST: f64 = 253_402_207_200.0;

#[derive(Debug)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub fn new(url: Option<&str>, form: &[u8]) -> Self {
        let (form, url) = (form_urlencoded::parse(form), form_urlencoded::parse(url.unwrap_or_default().as_bytes()));
        Self(form.chain(url).map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// The first of that name, or the empty text.
    pub fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value.as_str())
    }

    pub fn refuse_unserved(&self) -> Result<(), Refusal> {
        match UNSERVED.iter().find(|name| !self.text(name).is_empty()) {
            Some(name) => Err(Refusal::execution(&format!("the parameter {name} is not served"))),
            None => Ok(()),
        }
    }

    /// Seconds since the Unix epoch or RFC 3339.
    pub fn time(&self, name: &str) -> Result<Option<Timestamp>, Refusal> {
        match self.text(name) {
            "" => Ok(None),
            _ => self.needed_time(name).map(Some),
        }
    }

    pub fn needed_time(&self, name: &str) -> Result<Timestamp, Refusal> {
        let text = self.text(name);
        let read = match text.parse::<f64>() {
            Ok(seconds) => of_seconds(seconds),
            Err(_) => text.parse().ok(),
        };
        let wrong = || Refusal::bad(&format!("invalid parameter {name:?}: cannot parse {text:?} to a valid timestamp"));
        read.ok_or_else(wrong)
    }

    /// Seconds or a duration such as `15s`, above zero.
    pub fn step(&self) -> Result<SignedDuration, Refusal> {
        let text = self.text("step");
        let read = match text.parse::<f64>() {
            Ok(seconds) if seconds.is_finite() && seconds > -FURTHEST && seconds < FURTHEST => {
                Some(SignedDuration::from_secs_f64(seconds))
            }
            Ok(_) => None,
            Err(_) => promql_parser::util::parse_duration(text).ok().map(signed),
        };
        let Some(step) = read else {
            return Err(Refusal::bad(&format!(
                "invalid parameter \"step\": cannot parse {text:?} to a valid duration"
            )));
        };
        if step.as_millis() <= 0 {
            return Err(Refusal::bad(
                "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer",
            ));
        }
        Ok(step)
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// Rounded to Prometheus' milliseconds.
fn of_seconds(seconds: f64) -> Option<Timestamp> {
    if seconds.is_nan() || seconds.abs() >= FURTHEST {
        return None;
    }
    let whole = SignedDuration::from_secs_f64(seconds);
    let milliseconds = i64::try_from((whole.as_nanos() + 500_000).div_euclid(1_000_000)).ok()?;
    Timestamp::from_millisecond(milliseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Option<String> {
        let url = form_urlencoded::Serializer::new(String::new()).append_pair("time", text).finish();
        Parameters::new(Some(&url), b"").time("time").ok().flatten().map(|time| time.to_string())
    }

    #[test]
    fn a_time_is_seconds_or_rfc_3339() {
        assert_eq!(time("1700000000.1234").as_deref(), Some("2023-11-14T22:13:20.123Z"));
        assert_eq!(time("2023-11-14T22:13:20+01:00").as_deref(), Some("2023-11-14T21:13:20Z"));
        for wrong in ["yesterday", "NaN", "inf", "1e300"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_form_takes_precedence_over_the_url() {
        let both = Parameters::new(Some("query=a%2Bb&time=1"), b"query=c+d");

        assert_eq!((both.text("query"), both.text("time"), both.text("step")), ("c d", "1", ""));
    }

    #[test]
    fn a_step_is_seconds_or_a_duration_above_zero() {
        let step = |text: &str| Parameters::new(Some(&format!("step={text}")), b"").step().ok();

        assert_eq!(step("0.5"), Some(SignedDuration::from_millis(500)));
        assert_eq!(step("1m30s"), Some(SignedDuration::from_secs(90)));
        for wrong in ["0", "-1", "", "soon", "inf", "NaN", "0.0001"] {
            assert_eq!(step(wrong), None, "{wrong}");
        }
    }
}
