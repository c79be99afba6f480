//! How things look: icons, states, moments, quantities.
//!
//! What is put into a page as it stands here is made of constants and numbers only.

use std::fmt;

use askama::filters::HtmlSafe;
use domain::{WattHours, Watts};
use jiff::Timestamp;

use super::assets::{self, Asset};
use super::phrases::Lang;

/// A space at which no line breaks, between a number and its unit.
const NO_BREAK: char = '\u{a0}';

/// One of our icons. Decoration: what it says stands beside it in words.
#[derive(Clone, Copy, Debug)]
pub struct Icon<'a>(pub &'a str);

impl HtmlSafe for Icon<'_> {}

impl fmt::Display for Icon<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |byte: u8| byte.is_ascii_lowercase() || b"0123456789-_".contains(&byte);
        if !self.0.bytes().all(plain) {
            return Ok(());
        }
        let icons = assets::path(Asset::Icons);
        write!(
            f,
            r#"<svg class="i" aria-hidden="true" focusable="false"><use href="{icons}#{}"/></svg>"#,
            self.0
        )
    }
}

/// A state: an icon, a word and a colour.
#[derive(Clone, Copy, Debug)]
pub struct State {
    name: &'static str,
    word: &'static str,
}

impl State {
    /// A state of a closed set, with its word in the reader's language.
    pub const fn new(name: &'static str, word: &'static str) -> Self {
        Self { name, word }
    }
}

impl HtmlSafe for State {}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, word } = self;
        write!(
            f,
            r#"<span class="state s-{name}">{}<span>{word}</span></span>"#,
            Icon(name)
        )
    }
}

/// A moment: readable without script, in UTC; the script puts it into the reader's zone.
#[derive(Clone, Debug)]
pub struct Moment {
    at: Timestamp,
    style: &'static str,
    text: String,
}

impl Moment {
    /// To the second.
    pub fn full(at: Timestamp) -> Self {
        let text = at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
        Self {
            at,
            style: "full",
            text,
        }
    }

    /// As the time of day.
    pub fn time(at: Timestamp) -> Self {
        let text = at.strftime("%H:%M:%S UTC").to_string();
        Self {
            at,
            style: "time",
            text,
        }
    }

    /// As the time that has passed since.
    pub fn ago(at: Timestamp, now: Timestamp) -> Self {
        Self {
            at,
            style: "ago",
            text: duration(now.as_second() - at.as_second()),
        }
    }
}

impl HtmlSafe for Moment {}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = self.at.strftime("%Y-%m-%dT%H:%M:%SZ");
        let exact = self.at.strftime("%Y-%m-%d %H:%M:%S UTC");
        let Self { style, text, .. } = self;
        write!(
            f,
            r#"<time datetime="{machine}" title="{exact}" data-t="{style}">{text}</time>"#
        )
    }
}

/// A time in seconds, in its two largest units.
pub fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    let two = |one: i64, unit: &str, other: i64, small: &str| {
        if other == 0 {
            format!("{one}{NO_BREAK}{unit}")
        } else {
            format!("{one}{NO_BREAK}{unit} {other}{NO_BREAK}{small}")
        }
    };
    match seconds {
        0..60 => format!("{rest}{NO_BREAK}s"),
        60..3_600 => format!("{minutes}{NO_BREAK}min"),
        3_600..86_400 => two(hours, "h", minutes, "min"),
        _ => two(days, "d", hours, "h"),
    }
}

/// Energy in the unit that reads well.
pub fn energy(lang: Lang, WattHours(energy): WattHours) -> String {
    scaled(lang, energy, "Wh")
}

/// Power, likewise.
pub fn power(lang: Lang, Watts(power): Watts) -> String {
    scaled(lang, power, "W")
}

/// A quantity of at most three digits before the point, with its unit.
fn scaled(lang: Lang, value: i64, unit: &str) -> String {
    let size = value.unsigned_abs();
    let (prefix, step) = match size {
        0..1_000 => return format!("{value}{NO_BREAK}{unit}"),
        1_000..1_000_000 => ("k", 1_000),
        1_000_000..1_000_000_000 => ("M", 1_000_000),
        _ => ("G", 1_000_000_000),
    };
    let sign = if value < 0 { "-" } else { "" };
    let tenths = size.saturating_mul(10).saturating_add(step / 2) / step;
    let point = lang.decimal_point();
    format!(
        "{sign}{}{point}{}{NO_BREAK}{prefix}{unit}",
        tenths / 10,
        tenths % 10
    )
}

/// A size in bytes, in the unit that reads well.
pub fn bytes(lang: Lang, bytes: u64) -> String {
    const KIB: u64 = 1_024;
    let (step, unit) = match bytes {
        0..KIB => return format!("{bytes}{NO_BREAK}B"),
        KIB..0x10_0000 => (KIB, "KiB"),
        0x10_0000..0x4000_0000 => (KIB * KIB, "MiB"),
        _ => (KIB * KIB * KIB, "GiB"),
    };
    let tenths = (u128::from(bytes) * 10 + u128::from(step) / 2) / u128::from(step);
    let point = lang.decimal_point();
    format!("{}{point}{}{NO_BREAK}{unit}", tenths / 10, tenths % 10)
}

/// A count, in groups of three from five digits on, as both languages have it.
pub fn count(lang: Lang, count: i64) -> String {
    let digits = count.unsigned_abs().to_string();
    let sign = if count < 0 { "-" } else { "" };
    if digits.len() < lang.shortest_grouped() {
        return format!("{sign}{digits}");
    }
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(lang.group_mark());
        }
        text.push(digit);
    }
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_well_in_both_languages() {
        fn check(value: i64, english: &str, spanish: &str) {
            let plain = |text: String| text.replace(NO_BREAK, " ");
            assert_eq!(plain(energy(Lang::En, WattHours(value))), english);
            assert_eq!(plain(energy(Lang::Es, WattHours(value))), spanish);
        }
        check(0, "0 Wh", "0 Wh");
        check(999, "999 Wh", "999 Wh");
        check(12_340, "12.3 kWh", "12,3 kWh");
        check(-1_250, "-1.3 kWh", "-1,3 kWh");
        check(4_560_000, "4.6 MWh", "4,6 MWh");
        assert_eq!(count(Lang::En, 5_000), "5,000");
        assert_eq!(count(Lang::Es, 5_000), "5000");
        assert_eq!(count(Lang::En, 1_234_567), "1,234,567");
        assert_eq!(count(Lang::Es, 12_345), "12\u{a0}345");
        assert_eq!(count(Lang::Es, 0), "0");
        assert_eq!(
            bytes(Lang::En, 512 * 1_024 * 1_024).replace(NO_BREAK, " "),
            "512.0 MiB"
        );
        assert_eq!(bytes(Lang::Es, 1_536).replace(NO_BREAK, " "), "1,5 KiB");
    }

    #[test]
    fn an_icon_is_a_name_and_nothing_else() {
        assert!(Icon("plug").to_string().contains("#plug\"/>"));
        assert_eq!(Icon("\"><script>").to_string(), "");
    }

    #[test]
    fn durations_have_two_units_at_most() {
        fn check(seconds: i64, text: &str) {
            assert_eq!(duration(seconds).replace(NO_BREAK, " "), text);
        }
        check(-5, "0 s");
        check(59, "59 s");
        check(61, "1 min");
        check(3_600, "1 h");
        check(5_400, "1 h 30 min");
        check(90_000, "1 d 1 h");
    }

    #[test]
    fn a_moment_says_exactly_when() {
        let at: Timestamp = "2026-05-17T09:33:47.5Z".parse().expect("time");
        let moment = Moment::time(at).to_string();
        assert_eq!(
            moment,
            "<time datetime=\"2026-05-17T09:33:47Z\" title=\"2026-05-17 09:33:47 UTC\" \
             data-t=\"time\">09:33:47 UTC</time>"
        );
    }
}
