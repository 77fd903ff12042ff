//! Formats times.

use super::{Part, SHORT, month_name, split, weekday_name};
use crate::time::{Civil, Time};

pub fn format(time: &Time, layout: &str) -> String {
    let civil = time.civil();
    let mut text = String::new();
    let mut rest = layout;
    loop {
        let (before, part, after) = split(rest);
        text.push_str(before);
        let Some(part) = part else { return text };
        text.push_str(&part_text(part, time, &civil));
        rest = after;
    }
}

fn part_text(part: Part, time: &Time, civil: &Civil) -> String {
    let padded = |number: i64, width: usize| format!("{number:0width$}");
    let month = month_name(u8::try_from(civil.month).unwrap_or_default());
    let weekday = weekday_name(u8::try_from(civil.weekday).unwrap_or_default());
    match part {
        Part::LongMonth => month.into(),
        Part::Month => month.get(..SHORT).unwrap_or_default().into(),
        Part::NumberMonth { width } => padded(civil.month, width),
        Part::LongWeekday => weekday.into(),
        Part::Weekday => weekday.get(..SHORT).unwrap_or_default().into(),
        Part::Day { width, blank: true } => format!("{:width$}", civil.day),
        Part::Day { width, blank: false } => padded(civil.day, width),
        Part::YearDay { blank: true } => format!("{:3}", civil.year_day),
        Part::YearDay { blank: false } => padded(civil.year_day, 3),
        Part::Hour => padded(civil.hour, 2),
        Part::Hour12 { width } => padded((civil.hour + 11) % 12 + 1, width),
        Part::Minute { width } => padded(civil.minute, width),
        Part::Second { width } => padded(civil.second, width),
        Part::LongYear => padded(civil.year, 4),
        Part::Year => padded(civil.year.rem_euclid(100), 2),
        Part::HalfOfDay { upper } => match (civil.hour >= 12, upper) {
            (true, true) => "PM".into(),
            (true, false) => "pm".into(),
            (false, true) => "AM".into(),
            (false, false) => "am".into(),
        },
        Part::Zone if time.zone.is_empty() => offset_text(time.offset, false, true, false),
        Part::Zone => time.zone.to_string(),
        Part::Offset { z: true, .. } if time.offset == 0 => "Z".into(),
        Part::Offset { colon, minutes, seconds, .. } => offset_text(time.offset, colon, minutes, seconds),
        Part::Fraction { digits, trim } => {
            let all = format!("{:09}", time.nanos);
            let kept = all.get(..digits.min(all.len())).unwrap_or_default();
            let kept = if trim { kept.trim_end_matches('0') } else { kept };
            if kept.is_empty() { String::new() } else { format!(".{kept}") }
        }
    }
}

fn offset_text(offset: i64, colon: bool, minutes: bool, seconds: bool) -> String {
    let (sign, all) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
    let between = if colon { ":" } else { "" };
    let mut text = format!("{sign}{:02}", all / 3600);
    if minutes {
        text += &format!("{between}{:02}", all / 60 % 60);
    }
    if seconds {
        text += &format!("{between}{:02}", all % 60);
    }
    text
}
