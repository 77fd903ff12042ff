//! Times in whole seconds, as the API stores them.

use jiff::{SignedDuration, Timestamp};
use kulta_api::Time;

/// The time rounded down to a whole second.
#[must_use]
pub fn floor(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

/// The time rounded up to a whole second, so that a wait that starts here never ends early.
#[must_use]
pub fn ceil(time: Timestamp) -> Time {
    if time.subsec_nanosecond() == 0 { floor(time) } else { floor(after(time, 1)) }
}

/// The time `seconds` later. The time stays the same if the result is out of range.
#[must_use]
pub fn after(time: Timestamp, seconds: u32) -> Timestamp {
    time.checked_add(SignedDuration::from_secs(i64::from(seconds))).unwrap_or(time)
}

/// The earlier of two wake-ups.
#[must_use]
pub fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_of_a_second_is_rounded_up() {
        let time = Timestamp::from_millisecond(5_001).unwrap();

        assert_eq!((floor(time).0.as_second(), ceil(time).0.as_second()), (5, 6));
    }

    #[test]
    fn a_whole_second_stays_unchanged() {
        assert_eq!(ceil(Timestamp::from_second(5).unwrap()).0.as_second(), 5);
    }
}
