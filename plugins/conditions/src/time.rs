//! Instants with a zone, and durations, as Go has them.

use std::fmt::Write as _;
use std::rc::Rc;

pub const NANOS: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;
const MINUTE_NANOS: i64 = 60 * NANOS;
const HOUR_NANOS: i64 = 60 * MINUTE_NANOS;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Time {
    /// Unix seconds.
    pub seconds: i64,
    pub nanos: i64,
    /// East of UTC, in seconds.
    pub offset: i64,
    /// The zone's abbreviation; empty when only its offset is known.
    pub zone: Rc<str>,
}

/// Days and seconds of a time on its own clock.
pub struct Civil {
    pub year: i64,
    pub month: i64,
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    /// 0 is Sunday.
    pub weekday: i64,
    /// From 1.
    pub year_day: i64,
}

impl Time {
    pub fn utc(seconds: i64, nanos: i64) -> Self {
        Self { seconds, nanos, offset: 0, zone: "UTC".into() }
    }

    pub const fn instant(&self) -> (i64, i64) {
        (self.seconds, self.nanos)
    }

    pub fn plus(&self, nanos: i64) -> Self {
        let all = self.nanos + nanos.rem_euclid(NANOS);
        let seconds = self.seconds.saturating_add(nanos.div_euclid(NANOS)).saturating_add(all / NANOS);
        Self { seconds, nanos: all % NANOS, ..self.clone() }
    }

    /// As a duration, which holds 292 years at most.
    pub const fn since(&self, other: &Self) -> i64 {
        let seconds = self.seconds.saturating_sub(other.seconds);
        seconds.saturating_mul(NANOS).saturating_add(self.nanos - other.nanos)
    }

    pub fn civil(&self) -> Civil {
        let local = self.seconds.saturating_add(self.offset);
        let days = local.div_euclid(DAY_SECONDS);
        let rest = local.rem_euclid(DAY_SECONDS);
        let (year, month, day) = date_of(days);
        Civil {
            year,
            month,
            day,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
            weekday: (days + 4).rem_euclid(7),
            year_day: days - days_of(year, 1, 1) + 1,
        }
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar. Months and days out of range run on into the next ones.
pub fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year.saturating_add((month - 1).div_euclid(12));
    let month = (month - 1).rem_euclid(12) + 1;
    let year = year.clamp(-1_000_000_000, 1_000_000_000) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468 + day - 1
}

const fn date_of(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + (month <= 2) as i64;
    (year, month, day_of_year - (153 * shifted_month + 2) / 5 + 1)
}

pub const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Longer ones first.
const UNITS: [(&str, i64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", NANOS),
    ("m", MINUTE_NANOS),
    ("h", HOUR_NANOS),
];

/// `1h30m`, `-1.5s`, `100ms`, `0`.
pub fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut nanos: i128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at_checked(digits)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let (name, unit) = UNITS.iter().find(|(name, _)| {
            tail.strip_prefix(name)
                .is_some_and(|after| after.is_empty() || after.starts_with(|c: char| c.is_ascii_digit() || c == '.'))
        })?;
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        nanos = nanos.checked_add(whole.checked_mul((*unit).into())?)?;
        let mut scale: i128 = (*unit).into();
        for digit in fraction.chars() {
            scale /= 10;
            nanos = nanos.checked_add(scale * i128::from(digit.to_digit(10)?))?;
        }
        rest = tail.strip_prefix(name)?;
    }
    i64::try_from(if negative { -nanos } else { nanos }).ok()
}

/// `1h0m0s`, `1.5s`, `100ms`.
pub fn duration_text(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let all = nanos.unsigned_abs();
    let fraction = |value: u64, unit: u64| {
        let digits = unit.to_string().len() - 1;
        let rest = format!("{:0digits$}", value % unit);
        match rest.trim_end_matches('0') {
            "" => (value / unit).to_string(),
            rest => format!("{}.{rest}", value / unit),
        }
    };
    match all {
        0 => "0s".into(),
        1..1_000 => format!("{sign}{all}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", fraction(all, 1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", fraction(all, 1_000_000)),
        _ => {
            let seconds = all / NANOS.unsigned_abs();
            let mut text = sign.to_owned();
            if seconds >= 3600 {
                let _ = write!(text, "{}h", seconds / 3600);
            }
            if seconds >= 60 {
                let _ = write!(text, "{}m", seconds / 60 % 60);
            }
            text + &fraction(all % (60 * NANOS.unsigned_abs()), NANOS.unsigned_abs()) + "s"
        }
    }
}
