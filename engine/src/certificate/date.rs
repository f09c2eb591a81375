//! Days of the civil calendar, for the dates in certificates. UTC, no leap seconds.

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Days in 400 years.
const ERA_DAYS: i64 = 146_097;

/// A day as `YYYY-MM-DD`.
pub(crate) fn day(unix_seconds: i64) -> String {
    let (year, month, day) = civil_from_unix(unix_seconds);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Year, month and day of a moment.
pub(crate) fn civil_from_unix(unix_seconds: i64) -> (i64, u8, u8) {
    // Days are counted from 1 March of the year 0, so that a leap day is the last of its year.
    let days = unix_seconds.div_euclid(DAY) + 719_468;
    let era = days.div_euclid(ERA_DAYS);
    let of_era = days.rem_euclid(ERA_DAYS);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    // Both are small by construction.
    (year, u8::try_from(month).unwrap_or(1), u8::try_from(day).unwrap_or(1))
}

/// Seconds of the start of a day.
pub(super) fn unix_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * ERA_DAYS + of_era - 719_468) * DAY
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of `date -u +%s`.
    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_798_761_599, "2026-12-31"),
            (1_798_761_600, "2027-01-01"),
            (4_107_542_400, "2100-03-01"),
            (-1, "1969-12-31"),
        ] {
            assert_eq!(day(seconds), expected);
            let (year, month, date) = civil_from_unix(seconds);
            assert_eq!(unix_from_civil(year, month.into(), date.into()), seconds.div_euclid(DAY) * DAY);
        }
    }
}
