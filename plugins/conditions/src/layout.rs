//! Go's layouts of times: `2006-01-02 15:04:05`.

use crate::time::{Civil, Time, days_in, days_of};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const SHORT: usize = 3;

pub const RFC3339_NANO: &str = "2006-01-02T15:04:05.999999999Z07:00";
/// What `string(now())` looks like.
pub const DISPLAY: &str = "2006-01-02 15:04:05.999999999 -0700 MST";
/// What `date()` tries in turn when it is given no layout.
pub const DEFAULTS: [&str; 7] = [
    "2006-01-02",
    "15:04:05",
    "2006-01-02 15:04:05",
    "2006-01-02T15:04:05Z07:00",
    "02 Jan 06 15:04 MST",
    "Monday, 02-Jan-06 15:04:05 MST",
    "Mon, 02 Jan 2006 15:04:05 MST",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    LongMonth,
    Month,
    NumberMonth {
        width: usize,
    },
    LongWeekday,
    Weekday,
    Day {
        width: usize,
        blank: bool,
    },
    YearDay {
        blank: bool,
    },
    Hour,
    Hour12 {
        width: usize,
    },
    Minute {
        width: usize,
    },
    Second {
        width: usize,
    },
    LongYear,
    Year,
    HalfOfDay {
        upper: bool,
    },
    Zone,
    Offset {
        z: bool,
        colon: bool,
        minutes: bool,
        seconds: bool,
    },
    /// `trim`: without zeros at its end.
    Fraction {
        digits: usize,
        trim: bool,
    },
}

/// Longer ones first where one begins another.
const PARTS: [(&str, Part); 33] = [
    ("January", Part::LongMonth),
    ("Jan", Part::Month),
    ("Monday", Part::LongWeekday),
    ("Mon", Part::Weekday),
    ("MST", Part::Zone),
    ("002", Part::YearDay { blank: false }),
    ("01", Part::NumberMonth { width: 2 }),
    ("02", Part::Day { width: 2, blank: false }),
    ("03", Part::Hour12 { width: 2 }),
    ("04", Part::Minute { width: 2 }),
    ("05", Part::Second { width: 2 }),
    ("06", Part::Year),
    ("15", Part::Hour),
    ("1", Part::NumberMonth { width: 1 }),
    ("2006", Part::LongYear),
    ("2", Part::Day { width: 1, blank: false }),
    ("__2", Part::YearDay { blank: true }),
    ("_2", Part::Day { width: 2, blank: true }),
    ("3", Part::Hour12 { width: 1 }),
    ("4", Part::Minute { width: 1 }),
    ("5", Part::Second { width: 1 }),
    ("PM", Part::HalfOfDay { upper: true }),
    ("pm", Part::HalfOfDay { upper: false }),
    ("-07:00:00", Part::Offset { z: false, colon: true, minutes: true, seconds: true }),
    ("-070000", Part::Offset { z: false, colon: false, minutes: true, seconds: true }),
    ("-07:00", Part::Offset { z: false, colon: true, minutes: true, seconds: false }),
    ("-0700", Part::Offset { z: false, colon: false, minutes: true, seconds: false }),
    ("-07", Part::Offset { z: false, colon: false, minutes: false, seconds: false }),
    ("Z07:00:00", Part::Offset { z: true, colon: true, minutes: true, seconds: true }),
    ("Z070000", Part::Offset { z: true, colon: false, minutes: true, seconds: true }),
    ("Z07:00", Part::Offset { z: true, colon: true, minutes: true, seconds: false }),
    ("Z0700", Part::Offset { z: true, colon: false, minutes: true, seconds: false }),
    ("Z07", Part::Offset { z: true, colon: false, minutes: false, seconds: false }),
];

/// The text before the layout's next part, the part and what follows.
fn split(layout: &str) -> (&str, Option<Part>, &str) {
    for (at, _) in layout.char_indices() {
        let rest = layout.get(at..).unwrap_or_default();
        let before = layout.get(..at).unwrap_or_default();
        if let Some((digits, trim)) = fraction(rest) {
            return (before, Some(Part::Fraction { digits, trim }), rest.get(digits + 1..).unwrap_or_default());
        }
        let known = PARTS.iter().find(|(text, _)| rest.starts_with(text));
        let Some((text, part)) = known else { continue };
        let next = rest.get(text.len()..).unwrap_or_default();
        // `Jane` is a word of its own, and `_2006` an underscore before a year.
        let is_word = matches!(part, Part::Month | Part::Weekday) && next.starts_with(|c: char| c.is_ascii_lowercase());
        if is_word || rest.starts_with("_2006") {
            continue;
        }
        return (before, Some(*part), next);
    }
    (layout, None, "")
}

/// `.000` or `,999`, not followed by another digit.
fn fraction(text: &str) -> Option<(usize, bool)> {
    let rest = text.strip_prefix(['.', ','])?;
    let first = rest.chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let digits = rest.find(|c| c != first).unwrap_or(rest.len());
    let ends = !rest.get(digits..)?.starts_with(|c: char| c.is_ascii_digit());
    ends.then_some((digits, first == '9'))
}

pub fn month_name(month: u8) -> &'static str {
    usize::from(month).checked_sub(1).and_then(|at| MONTHS.get(at)).copied().unwrap_or_default()
}

pub fn weekday_name(weekday: u8) -> &'static str {
    WEEKDAYS.get(usize::from(weekday)).copied().unwrap_or_default()
}

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

/// What has been read of a time so far.
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

/// `None` where the text is not laid out so.
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

/// The text behind `before`; blanks there are as many as are given.
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
        // A fraction may follow the seconds even where the layout has none.
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

    /// `UTC` or an abbreviation, whose offset nobody here knows: Go takes it for UTC as well.
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
