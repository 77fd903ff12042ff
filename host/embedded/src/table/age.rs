//! Ages in `kubectl`'s short form.

use jiff::Timestamp;
use serde_json::Value;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// The age of a time field; `<unknown>` without one.
pub(super) fn since(time: Option<&Value>, now: Timestamp) -> String {
    let time = time.and_then(Value::as_str).and_then(|time| time.parse::<Timestamp>().ok());
    time.map_or_else(|| "<unknown>".to_owned(), |time| human(time, now))
}

/// Precise while young: `90s`, `5m30s`, `3h5m`, `2d4h`, `300d`, `3y10d`.
pub(super) fn human(time: Timestamp, now: Timestamp) -> String {
    let elapsed = now.duration_since(time);
    let seconds = elapsed.as_secs();
    // Clocks differ a little between machines.
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    if elapsed.is_negative() {
        return "0s".to_owned();
    }
    match seconds {
        ..120 => format!("{seconds}s"),
        120..600 => pair(seconds, (MINUTE, "m"), (1, "s")),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => pair(seconds, (HOUR, "h"), (MINUTE, "m")),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => pair(seconds, (DAY, "d"), (HOUR, "h")),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => pair(seconds, (YEAR, "y"), (DAY, "d")),
        _ => format!("{}y", seconds / YEAR),
    }
}

/// Two units, the smaller one only if there is something of it.
fn pair(seconds: i64, (large, large_name): (i64, &str), (small, small_name): (i64, &str)) -> String {
    let (whole, rest) = (seconds / large, seconds % large / small);
    if rest == 0 { format!("{whole}{large_name}") } else { format!("{whole}{large_name}{rest}{small_name}") }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn after(seconds: i64) -> String {
        human(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds))
    }

    #[test]
    fn an_age_has_one_or_two_units() {
        let cases = [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (330, "5m30s"),
            (601, "10m"),
            (3 * HOUR + 5 * MINUTE, "3h5m"),
            (8 * HOUR, "8h"),
            (47 * HOUR, "47h"),
            (2 * DAY + 4 * HOUR, "2d4h"),
            (8 * DAY, "8d"),
            (3 * YEAR + 10 * DAY, "3y10d"),
            (8 * YEAR, "8y"),
        ];

        for (seconds, words) in cases {
            assert_eq!(after(seconds), words);
        }
    }

    #[test]
    fn a_future_time_is_invalid_unless_it_is_close_to_now() {
        assert_eq!(after(-1), "0s");
        assert_eq!(after(-5), "<invalid>");
    }

    #[test]
    fn an_absent_time_is_unknown() {
        assert_eq!(since(None, Timestamp::UNIX_EPOCH), "<unknown>");
    }
}
