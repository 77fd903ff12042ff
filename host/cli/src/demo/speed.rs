//! The speed factor of the demo.

use std::str::FromStr;
use std::time::Duration;

/// The normal speed; anything slower would not end within a minute.
const SLOWEST: f64 = 1.0;
/// Times in a Rollout's status are whole seconds, so a higher speed gains little.
const FASTEST: f64 = 20.0;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed(f64);

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a speed: expected a number from {SLOWEST} to {FASTEST}")]
pub struct NoSpeed(String);

impl FromStr for Speed {
    type Err = NoSpeed;

    fn from_str(text: &str) -> Result<Self, NoSpeed> {
        let number: Option<f64> = text.parse().ok();
        number.filter(|number| (SLOWEST..=FASTEST).contains(number)).map(Self).ok_or_else(|| NoSpeed(text.to_owned()))
    }
}

impl Speed {
    /// The duration at this speed of something that takes `usual` at speed 1.
    #[must_use]
    pub fn scaled(self, usual: Duration) -> Duration {
        usual.div_f64(self.0)
    }

    /// The rate at this speed of something that has the rate `usual` at speed 1.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
    pub fn hastened(self, usual: u32) -> u32 {
        (f64::from(usual) * self.0).round() as u32
    }
}

impl std::fmt::Display for Speed {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_below_one_or_an_invalid_number_is_rejected() {
        for text in ["", "0", "-1", "0.5", "21", "NaN", "inf", "fast"] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
    }

    #[test]
    fn twice_the_speed_takes_half_the_time_and_sends_twice_the_requests() {
        let speed: Speed = "2".parse().unwrap();

        assert_eq!((speed.scaled(Duration::from_secs(3)), speed.hastened(500)), (Duration::from_millis(1500), 1000));
    }
}
