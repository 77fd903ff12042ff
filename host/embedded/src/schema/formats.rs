//! The string formats that are checked. Others (`int32`, `uri`, `password`, …) say nothing here.

use std::net::{Ipv4Addr, Ipv6Addr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    DateTime,
    Date,
    Duration,
    Ipv4,
    Ipv6,
    Uuid,
}

impl Format {
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "date-time" | "datetime" => Some(Self::DateTime),
            "date" => Some(Self::Date),
            "duration" => Some(Self::Duration),
            "ipv4" => Some(Self::Ipv4),
            "ipv6" => Some(Self::Ipv6),
            "uuid" => Some(Self::Uuid),
            _ => None,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DateTime => "date-time",
            Self::Date => "date",
            Self::Duration => "duration",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Uuid => "uuid",
        }
    }

    pub fn accepts(self, text: &str) -> bool {
        match self {
            Self::DateTime => text.contains(['T', 't']) && text.parse::<jiff::Timestamp>().is_ok(),
            Self::Date => is_date(text),
            Self::Duration => is_duration(text),
            Self::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Self::Uuid => is_uuid(text),
        }
    }
}

fn is_date(text: &str) -> bool {
    // Ten bytes, because the parser takes a date with a time as well.
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

/// `1h30m`, `-1.5s`, `22 ns`.
fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 8] = ["ns", "us", "µs", "ms", "s", "m", "h", "d"];
    let mut rest = text.trim_start_matches(['-', '+']).trim();
    if rest == "0" {
        return true;
    }
    let mut parts = 0;
    while !rest.is_empty() {
        let after = rest.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
        let digits = rest.len() - after.len();
        if digits == 0 {
            return false;
        }
        let after = after.trim_start();
        let Some(next) = UNITS.iter().find_map(|unit| {
            let next = after.strip_prefix(unit)?;
            (!next.starts_with(|letter: char| letter.is_alphabetic())).then_some(next)
        }) else {
            return false;
        };
        rest = next.trim_start();
        parts += 1;
    }
    parts > 0
}

fn is_uuid(text: &str) -> bool {
    const DIGITS: usize = 32;
    let dashes_fit = text.len() == DIGITS
        || text.char_indices().all(|(at, letter)| (letter == '-') == matches!(at, 8 | 13 | 18 | 23));
    dashes_fit && text.chars().filter(char::is_ascii_hexdigit).count() == DIGITS && text.len() <= DIGITS + 4
}
