//! Instants as SkyWalking reads them: minutes in UTC, such as `2026-01-01 0930`.

const MILLIS_PER_MINUTE: u64 = 60_000;
const MINUTES_PER_HOUR: u64 = 60;
const MINUTES_PER_DAY: u64 = 24 * MINUTES_PER_HOUR;

/// An instant in Unix milliseconds as its minute.
pub fn minute(millis: u64) -> String {
    let minutes = millis / MILLIS_PER_MINUTE;
    let (year, month, day) = date(minutes / MINUTES_PER_DAY);
    let of_day = minutes % MINUTES_PER_DAY;
    format!("{year:04}-{month:02}-{day:02} {:02}{:02}", of_day / MINUTES_PER_HOUR, of_day % MINUTES_PER_HOUR)
}

/// The Gregorian date of a day since 1970. Years are counted from March, so that a leap day is a year's last day.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468;
    const DAYS_PER_ERA: u64 = 146_097;
    const YEARS_PER_ERA: u64 = 400;
    let days = days + DAYS_TO_1970;
    let (era, of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * YEARS_PER_ERA + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_its_minute_in_utc() {
        for (millis, expected) in [
            (0, "1970-01-01 0000"),
            (951_868_799_999, "2000-02-29 2359"),
            (951_868_800_000, "2000-03-01 0000"),
            (1_767_225_600_000, "2026-01-01 0000"),
            (1_767_225_599_999, "2025-12-31 2359"),
            (4_107_542_400_000, "2100-03-01 0000"),
        ] {
            assert_eq!(minute(millis), expected);
        }
    }
}
