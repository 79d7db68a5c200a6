//! Date-times of ISO 8601, moved exactly.

use std::fmt;

/// A date-time to the microsecond, and its zone as it is written. Moving it leaves the zone alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment<'a> {
    /// Since the start of the year 1, by the clock of its own zone.
    micros: i64,
    zone: &'a str,
}

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// The start of 1970.
const EPOCH: i64 = days_before(1970, 1) * DAY;
/// The end of the year 9999.
const END: i64 = days_before(10_000, 1) * DAY;

impl<'a> Moment<'a> {
    /// `2024-01-31T23:59:59.123456+02:00`, where `T` may be a blank, and seconds, fraction and zone may be missing.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut rest = Rest(text.as_bytes());
        let (year, month, day) = (rest.number(4)?, rest.part(b"-")?, rest.part(b"-")?);
        if year == 0 || !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
            return None;
        }
        let (hours, minutes) = (rest.part(b"Tt ")?, rest.part(b":")?);
        let seconds = if rest.0.starts_with(b":") { rest.part(b":")? } else { 0 };
        if hours > 23 || minutes > 59 || seconds > 59 {
            return None;
        }
        let fraction = if rest.0.starts_with(b".") { rest.fraction()? } else { 0 };
        let time = (hours * 3600 + minutes * 60 + seconds) * SECOND + fraction;
        let zone = &text[text.len() - rest.0.len()..];
        rest.zone().then(|| Self { micros: (days_before(year, month) + day - 1) * DAY + time, zone })
    }

    /// The microseconds since the start of the year 1, in UTC if it has a zone; whether it has one.
    pub(crate) fn instant(self) -> (i64, bool) {
        let ahead = match self.zone.as_bytes() {
            [sign @ (b'+' | b'-'), offset @ ..] => {
                let mut rest = Rest(offset);
                let (hours, minutes) = (rest.number(2), rest.part(b":"));
                let ahead = (hours.unwrap_or_default() * 60 + minutes.unwrap_or_default()) * 60 * SECOND;
                if *sign == b'-' { -ahead } else { ahead }
            }
            _ => 0,
        };
        (self.micros - ahead, !self.zone.is_empty())
    }

    /// `None` outside the years 1 to 9999.
    pub(crate) fn shifted(self, micros: i64) -> Option<Self> {
        let micros = self.micros.checked_add(micros).filter(|micros| (0..END).contains(micros))?;
        Some(Self { micros, ..self })
    }
}

/// The seconds since the epoch of a date-time so many microseconds later, to the microsecond as far as doubles go;
/// `None` outside the years 1 to 9999.
#[expect(clippy::cast_precision_loss, reason = "beyond 2255 a double has no microseconds")]
pub(crate) fn shifted_seconds(seconds: f64, micros: i64) -> Option<f64> {
    const PER_SECOND: f64 = 1e6;
    let within = |since: &i64| (-EPOCH..END - EPOCH).contains(since);
    // Apart, for of the whole the product would be rounded. The conversion saturates, and what is that far away is
    // not within.
    let (whole, fraction) = (seconds.trunc() as i64, (seconds.fract() * PER_SECOND).round() as i64);
    let moment = whole.checked_mul(SECOND)?.checked_add(fraction).filter(within)?;
    let shifted = moment.checked_add(micros).filter(within)?;
    Some(shifted as f64 / PER_SECOND)
}

/// As pydantic writes it: a fraction of six digits, or none.
impl fmt::Display for Moment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, time) = (self.micros / DAY, self.micros % DAY);
        let (year, month, day) = date(days);
        let (seconds, fraction) = (time / SECOND, time % SECOND);
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{:02}", seconds % 60)?;
        if fraction > 0 {
            write!(f, ".{fraction:06}")?;
        }
        f.write_str(self.zone)
    }
}

/// What is left of a text to parse.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    /// So many digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        number
            .iter()
            .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    }

    /// Two digits behind one of some separators.
    fn part(&mut self, separators: &[u8]) -> Option<i64> {
        let (separator, rest) = self.0.split_first()?;
        self.0 = rest;
        if separators.contains(separator) { self.number(2) } else { None }
    }

    /// One to six digits behind a point, as microseconds.
    fn fraction(&mut self) -> Option<i64> {
        self.0 = &self.0[1..];
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let scale = 6_u32.checked_sub(u32::try_from(digits).ok()?)?;
        (digits > 0).then(|| self.number(digits).map(|number| number * 10_i64.pow(scale))).flatten()
    }

    /// Whether all of it is a zone: none at all, `Z`, or hours and minutes ahead of it or behind.
    fn zone(&mut self) -> bool {
        matches!(self.0, b"" | b"Z" | b"z")
            || self.part(b"+-").is_some_and(|hours| hours < 24)
                && self.part(b":").is_some_and(|minutes| minutes < 60)
                && self.0.is_empty()
    }
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// The days of a month.
const fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The days from the start of the year 1 to that of a month.
const fn days_before(year: i64, month: i64) -> i64 {
    let years = year - 1;
    let mut days = years * 365 + years / 4 - years / 100 + years / 400;
    let mut earlier = 1;
    while earlier < month {
        days += days_of(year, earlier);
        earlier += 1;
    }
    days
}

/// Year, month and day of the day that so many days are before.
fn date(days: i64) -> (i64, i64, i64) {
    // A year has 365.2425 days on average; the first guess is a year too late at most.
    let guess = days * 10_000 / 3_652_425 + 1;
    let year = if days_before(guess, 1) > days { guess - 1 } else { guess };
    let year = if days_before(year + 1, 1) <= days { year + 1 } else { year };
    let month = (1..=12).rev().find(|month| days_before(year, *month) <= days).unwrap_or(1);
    (year, month, days - days_before(year, month) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shifted(text: &str, micros: i64) -> Option<String> {
        Moment::parse(text)?.shifted(micros).map(|moment| moment.to_string())
    }

    #[test]
    fn every_day_there_is_has_its_date() {
        let mut day = (1, 1, 1);
        for days in 0..END / DAY {
            assert_eq!(date(days), day);
            assert_eq!(days_before(day.0, day.1) + day.2 - 1, days);
            day = match day {
                (year, 12, 31) => (year + 1, 1, 1),
                (year, month, last) if last == days_of(year, month) => (year, month + 1, 1),
                (year, month, day) => (year, month, day + 1),
            };
        }
        assert_eq!(day, (10_000, 1, 1));
    }

    #[test]
    fn moves_to_the_microsecond_and_keeps_the_zone() {
        for (text, micros, expected) in [
            ("2024-01-01T00:00:00Z", -1, "2023-12-31T23:59:59.999999Z"),
            ("2024-02-28T23:59:59.5+02:00", 500_000, "2024-02-29T00:00:00+02:00"),
            ("2024-02-28 23:59", DAY, "2024-02-29T23:59:00"),
            ("2023-02-28T12:00:00.000001-23:59", DAY, "2023-03-01T12:00:00.000001-23:59"),
            ("0001-01-01T00:00:00", 0, "0001-01-01T00:00:00"),
        ] {
            assert_eq!(shifted(text, micros).as_deref(), Some(expected));
        }
        assert_eq!(shifted("0001-01-01T00:00:00", -1), None);
        assert_eq!(shifted("9999-12-31T23:59:59.999999Z", 1), None);
        assert_eq!(shifted("2024-01-01T00:00:00", i64::MAX), None);
    }

    #[test]
    fn seconds_since_the_epoch_move_to_the_microsecond() {
        for (seconds, micros, expected) in [
            (1_770_000_000.0, 3_600_000_001, Some(1_770_003_600.000_001)),
            (1_770_000_000.000_003, -3, Some(1_770_000_000.0)),
            (0.5, -1_000_000, Some(-0.5)),
            (4_323_283_200.0, -6, Some(4_323_283_199.999_994)),
            (4_323_283_199.999_994, 6, Some(4_323_283_200.0)),
            (-62_135_596_800.0, 0, Some(-62_135_596_800.0)),
            (-62_135_596_800.0, -1, None),
            (253_402_300_799.0, 1_000_000, None),
            (1e300, 0, None),
            (0.0, i64::MIN, None),
        ] {
            assert_eq!(shifted_seconds(seconds, micros), expected, "{seconds} {micros}");
        }
        let moved =
            (0..1_000).try_fold(1_770_000_000.0, |seconds, _| shifted_seconds(seconds, 3_600_000_001));
        assert_eq!(moved, Some(1_773_600_000.001));
    }

    #[test]
    fn what_is_no_date_time_is_none() {
        for text in [
            "",
            "2024-01-01",
            "2024-01-01T",
            "2024-01-01T00",
            "2024-01-01T24:00:00",
            "2024-01-01T00:60:00",
            "2024-01-01T23:59:60",
            "2024-01-01T00:00:00.",
            "2024-01-01T00:00:00.1234567",
            "2024-01-01T00:00:00+02",
            "2024-01-01T00:00:00+0200",
            "2024-01-01T00:00:00+24:00",
            "2024-01-01T00:00:00+02:60",
            "2024-01-01T00:00:00+02:00 ",
            "2024-01-01T00:00:00 Z",
            "2024-01-01T00:00:00ZZ",
            "2023-02-29T00:00:00",
            "1900-02-29T00:00:00",
            "2024-04-31T00:00:00",
            "2024-00-01T00:00:00",
            "2024-13-01T00:00:00",
            "0000-01-01T00:00:00",
            "-001-01-01T00:00:00",
            "2024-01-01T0\u{663}:00:00",
            "20240101T000000",
        ] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }
}
