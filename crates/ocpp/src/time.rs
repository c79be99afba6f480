//! Times on the wire: RFC 3339 in UTC when written, nearly anything when read (OCPP 1.6 §3.14 as
//! added by the errata: receivers must handle fractions and offsets).

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Serializer;

use crate::Fault;

/// Numbers from here on are milliseconds since 1970 rather than seconds: as seconds they would be
/// in the year 5138.
const FIRST_MILLISECONDS: u64 = 100_000_000_000;

/// The digits of a fraction that a nanosecond holds.
const MAX_FRACTION_DIGITS: usize = 9;

/// Reads a time, and what was odd about it.
pub(crate) fn read(text: &str) -> Result<(Timestamp, Option<Fault>), Fault> {
    if let Ok(time) = text.parse() {
        return Ok((time, None));
    }
    let text = with_short_fraction(text.trim());
    if let Ok(time) = text.parse() {
        return Ok((time, Some(Fault::TimeNotation)));
    }
    if let Ok(number) = text.parse::<i64>() {
        let time = if number.unsigned_abs() < FIRST_MILLISECONDS {
            Timestamp::from_second(number)
        } else {
            Timestamp::from_millisecond(number)
        };
        return time
            .map(|time| (time, Some(Fault::TimeNotation)))
            .or(Err(Fault::Unreadable));
    }
    text.parse::<DateTime>()
        .and_then(|time| time.to_zoned(TimeZone::UTC))
        .map(|time| (time.timestamp(), Some(Fault::NoTimeZone)))
        .or(Err(Fault::Unreadable))
}

/// Cuts a fraction of more digits than a nanosecond has, and a point with no fraction at all.
fn with_short_fraction(text: &str) -> Cow<'_, str> {
    let Some(point) = text.find('.') else {
        return text.into();
    };
    let digits = text[point + 1..]
        .bytes()
        .take_while(u8::is_ascii_digit)
        .count();
    let rest = &text[point + 1 + digits..];
    match digits {
        0 => format!("{}{rest}", &text[..point]).into(),
        1..=MAX_FRACTION_DIGITS => text.into(),
        _ => format!("{}{rest}", &text[..=point + MAX_FRACTION_DIGITS]).into(),
    }
}

/// Writes a time with milliseconds, which every charger can read.
pub(crate) fn write<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.3}"))
}

/// Writes a time that may be absent, in which case the field is skipped.
#[expect(
    clippy::ref_option,
    reason = "serde hands over a reference to the field"
)]
pub(crate) fn write_optional<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => write(time, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_chargers_send_them() {
        let check = |text: &str, expect: &str, fault: Option<Fault>| {
            let expect: Timestamp = expect.parse().unwrap();
            assert_eq!(read(text), Ok((expect, fault)), "{text}");
        };
        check("2026-11-21T08:00:00Z", "2026-11-21T08:00:00Z", None);
        check("2026-11-21T08:00:00.5Z", "2026-11-21T08:00:00.5Z", None);
        check("2026-11-21T09:00:00+01:00", "2026-11-21T08:00:00Z", None);
        check(
            "2026-11-21T09:00:00.123456+0100",
            "2026-11-21T08:00:00.123456Z",
            None,
        );
        check("2026-11-21 08:00:00Z", "2026-11-21T08:00:00Z", None);

        let odd = Some(Fault::TimeNotation);
        check(
            "2026-11-21T08:00:00.1234567891Z",
            "2026-11-21T08:00:00.123456789Z",
            odd,
        );
        check("2026-11-21T08:00:00.Z", "2026-11-21T08:00:00Z", odd);
        check(" 2026-11-21T08:00:00Z ", "2026-11-21T08:00:00Z", odd);
        check("1795248000", "2026-11-21T08:00:00Z", odd);
        check("1795248000250", "2026-11-21T08:00:00.250Z", odd);

        let zoneless = Some(Fault::NoTimeZone);
        check("2026-11-21T08:00:00", "2026-11-21T08:00:00Z", zoneless);
        check(
            "2026-11-21 08:00:00.25",
            "2026-11-21T08:00:00.25Z",
            zoneless,
        );
        check(
            "2026-11-21T08:00:00.12345678901",
            "2026-11-21T08:00:00.123456789Z",
            zoneless,
        );
    }

    #[test]
    fn what_is_no_time_is_said_to_be_none() {
        for text in [
            "",
            "now",
            "0000-00-00T00:00:00Z",
            "2026-13-01T00:00:00Z",
            ".",
            "9e99",
        ] {
            assert_eq!(read(text), Err(Fault::Unreadable), "{text}");
        }
        assert_eq!(read(&i64::MAX.to_string()), Err(Fault::Unreadable));
        assert_eq!(read(&i64::MIN.to_string()), Err(Fault::Unreadable));
    }

    #[test]
    fn times_are_written_in_milliseconds() {
        let check = |time: &str, expect: &str| {
            let time: Timestamp = time.parse().unwrap();
            let written = write(&time, serde_json::value::Serializer).unwrap();
            assert_eq!(written, expect);
        };
        check("2026-11-21T08:00:00Z", "2026-11-21T08:00:00.000Z");
        check("2026-11-21T08:00:00.1239Z", "2026-11-21T08:00:00.123Z");
    }
}
