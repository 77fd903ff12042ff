//! Parses times.

use super::{MONTHS, Part, SHORT, WEEKDAYS, split};
use crate::time::{Time, days_in, days_of};

/// The fields that have been parsed so far.
struct Read {
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    year_day: Option<i64>,
    hour: i64,
    afternoon: Option<bool>,
    minute: i64,
    second: i64,
    nanos: i64,
    offset: Option<i64>,
    zone: String,
}

/// `None` if the text does not match the layout.
pub fn parse(layout: &str, text: &str) -> Option<Time> {
    let mut read = Read {
        year: 0,
        month: None,
        day: None,
        year_day: None,
        hour: 0,
        afternoon: None,
        minute: 0,
        second: 0,
        nanos: 0,
        offset: None,
        zone: String::new(),
    };
    let (mut layout, mut text) = (layout, text);
    loop {
        let (before, part, after) = split(layout);
        text = skipped(text, before)?;
        let Some(part) = part else { break };
        let follows_fraction = matches!(split(after), ("", Some(Part::Fraction { .. }), _));
        text = read.part(part, text, follows_fraction)?;
        layout = after;
    }
    if text.is_empty() { read.time() } else { None }
}

/// The text after `before`; a run of spaces matches any number of spaces.
fn skipped<'a>(mut text: &'a str, mut before: &str) -> Option<&'a str> {
    while !before.is_empty() {
        if before.starts_with(' ') {
            if !text.is_empty() && !text.starts_with(' ') {
                return None;
            }
            before = before.trim_start_matches(' ');
            text = text.trim_start_matches(' ');
            continue;
        }
        let c = before.chars().next()?;
        before = before.strip_prefix(c)?;
        text = text.strip_prefix(c)?;
    }
    Some(text)
}

/// A number of `at_least` to `at_most` digits.
fn digits(text: &str, at_least: usize, at_most: usize) -> Option<(i64, &str)> {
    let run = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()).min(at_most);
    if run < at_least {
        return None;
    }
    let (number, rest) = text.split_at_checked(run)?;
    Some((number.parse().ok()?, rest))
}

fn named<'a>(text: &'a str, names: &[&str], length: Option<usize>) -> Option<(i64, &'a str)> {
    names.iter().zip(0..).find_map(|(name, number)| {
        let name = name.get(..length.unwrap_or(name.len()))?;
        let (start, rest) = text.split_at_checked(name.len())?;
        start.eq_ignore_ascii_case(name).then_some((number, rest))
    })
}

impl Read {
    fn part<'a>(&mut self, part: Part, text: &'a str, follows_fraction: bool) -> Option<&'a str> {
        let at_least = |width: usize| if width == 1 { 1 } else { 2 };
        let (number, rest) = match part {
            Part::LongMonth => named(text, &MONTHS, None)?,
            Part::Month => named(text, &MONTHS, Some(SHORT))?,
            Part::LongWeekday => return named(text, &WEEKDAYS, None).map(|(_, rest)| rest),
            Part::Weekday => return named(text, &WEEKDAYS, Some(SHORT)).map(|(_, rest)| rest),
            Part::Day { blank: true, .. } => digits(text.strip_prefix(' ').unwrap_or(text), 1, 2)?,
            Part::NumberMonth { width }
            | Part::Day { width, .. }
            | Part::Hour12 { width }
            | Part::Minute { width }
            | Part::Second { width } => digits(text, at_least(width), 2)?,
            Part::YearDay { blank } => {
                digits(if blank { text.trim_start_matches(' ') } else { text }, if blank { 1 } else { 3 }, 3)?
            }
            Part::Hour => digits(text, 1, 2)?,
            Part::LongYear => digits(text, 4, 4)?,
            Part::Year => digits(text, 2, 2)?,
            Part::HalfOfDay { upper } => {
                let (at, rest) = named(text, &["AM", "PM"], None)?;
                let is_upper = text.starts_with(|c: char| c.is_ascii_uppercase());
                if is_upper != upper {
                    return None;
                }
                self.afternoon = Some(at == 1);
                return Some(rest);
            }
            Part::Zone => return self.zone(text),
            Part::Offset { z, colon, minutes, seconds } => return self.offset(text, z, colon, minutes, seconds),
            Part::Fraction { digits, trim } => return self.fraction(text, (!trim).then_some(digits)),
        };
        match part {
            Part::LongMonth | Part::Month => self.month = Some(number + 1),
            Part::NumberMonth { .. } => self.month = Some(number).filter(|month| (1..=12).contains(month)),
            Part::Day { .. } => self.day = Some(number),
            Part::YearDay { .. } => self.year_day = Some(number),
            Part::Hour => self.hour = number,
            Part::Hour12 { .. } => self.hour = number,
            Part::Minute { .. } => self.minute = number,
            Part::Second { .. } => self.second = number,
            Part::LongYear => self.year = number,
            _ => self.year = number + if number >= 69 { 1900 } else { 2000 },
        }
        let in_range = match part {
            Part::NumberMonth { .. } => self.month.is_some(),
            Part::Hour => number < 24,
            Part::Hour12 { .. } => number <= 12,
            Part::Minute { .. } | Part::Second { .. } => number < 60,
            _ => true,
        };
        // A fraction may follow the seconds even if the layout has none.
        let is_second = matches!(part, Part::Second { .. });
        match is_second && !follows_fraction && rest.starts_with(['.', ',']) {
            _ if !in_range => None,
            true if rest.get(1..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) => {
                self.fraction(rest, None)
            }
            _ => Some(rest),
        }
    }

    fn fraction<'a>(&mut self, text: &'a str, wanted: Option<usize>) -> Option<&'a str> {
        let Some(rest) = text.strip_prefix(['.', ',']) else {
            return if wanted.is_none() { Some(text) } else { None };
        };
        let run = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let length = wanted.unwrap_or(run);
        let (number, rest) =
            rest.split_at_checked(length).filter(|(number, _)| number.bytes().all(|b| b.is_ascii_digit()))?;
        let nine: String = number.chars().chain(std::iter::repeat('0')).take(9).collect();
        self.nanos = nine.parse().ok()?;
        Some(rest)
    }

    /// `Z`, `+01:00`, `-0700`.
    fn offset<'a>(&mut self, text: &'a str, z: bool, colon: bool, minutes: bool, seconds: bool) -> Option<&'a str> {
        if z && let Some(rest) = text.strip_prefix('Z') {
            self.offset = Some(0);
            self.zone = "UTC".into();
            return Some(rest);
        }
        let sign = if text.starts_with('-') { -1 } else { 1 };
        let (mut all, mut rest) = digits(text.strip_prefix(['+', '-'])?, 2, 2)?;
        all *= 3600;
        for (wanted, unit) in [(minutes, 60), (seconds, 1)] {
            if wanted {
                let (number, after) = digits(if colon { rest.strip_prefix(':')? } else { rest }, 2, 2)?;
                all += number * unit;
                rest = after;
            }
        }
        self.offset = Some(sign * all);
        Some(rest)
    }

    /// `UTC`, or an abbreviation with an unknown offset, which counts as UTC, as in Go.
    fn zone<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let length = text.find(|c: char| !c.is_ascii_uppercase()).unwrap_or(text.len());
        if !(3..=5).contains(&length) {
            return None;
        }
        let (zone, rest) = text.split_at_checked(length)?;
        self.zone = zone.into();
        Some(rest)
    }

    fn time(self) -> Option<Time> {
        let hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let days = match self.year_day {
            Some(day) if (1..=366).contains(&day) => days_of(self.year, 1, day),
            Some(_) => return None,
            None => {
                let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
                if day < 1 || day > days_in(self.year, month) {
                    return None;
                }
                days_of(self.year, month, day)
            }
        };
        let offset = self.offset.unwrap_or(0);
        let seconds = days * 86_400 + hour * 3600 + self.minute * 60 + self.second - offset;
        let zone = match self.offset {
            None | Some(0) if self.zone.is_empty() => "UTC".into(),
            _ => self.zone,
        };
        Some(Time { seconds, nanos: self.nanos, offset, zone: zone.into() })
    }
}
