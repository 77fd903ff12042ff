//! Go's time layouts: `2006-01-02 15:04:05`.

mod format;
mod parse;

pub use format::format;
pub use parse::parse;

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
/// The format of `string(now())`.
pub const DISPLAY: &str = "2006-01-02 15:04:05.999999999 -0700 MST";
/// The layouts that `date()` tries in order if it has no layout argument.
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
    /// `trim`: without trailing zeros.
    Fraction {
        digits: usize,
        trim: bool,
    },
}

/// If one is a prefix of another, the longer one is first.
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

/// The text before the layout's next part, the part, and the rest.
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
        // `Jane` is an ordinary word, and `_2006` an underscore before a year.
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
