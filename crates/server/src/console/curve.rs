//! A session's power and energy over time, as lines.

use domain::session::Reading;
use jiff::Timestamp;

use super::look;
use super::phrases::Lang;
use domain::{WattHours, Watts};

/// The drawing's size, and the room for its axes.
pub const WIDTH: f64 = 760.0;
/// Likewise.
pub const HEIGHT: f64 = 240.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 70.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 30.0;
/// Points drawn of one line: more would fall on each other.
const MAX_POINTS: usize = 200;
/// Rows of the table beside it.
const MAX_ROWS: usize = 24;
/// Lines across.
const STEPS: u8 = 4;

/// A curve, ready to be drawn.
#[derive(Debug)]
pub struct Curve {
    /// The outline beneath the power.
    pub area: String,
    /// The power.
    pub power: String,
    /// The energy.
    pub energy: String,
    /// Lines across, with what they stand for at either side.
    pub levels: Vec<Level>,
    /// Times below.
    pub times: Vec<Tick>,
    /// The same in numbers.
    pub table: Vec<Point>,
    /// The most power there was.
    pub peak: String,
    /// The energy at its end.
    pub total: String,
}

/// A line across.
#[derive(Debug)]
pub struct Level {
    /// Where.
    pub y: String,
    /// Power there.
    pub power: String,
    /// Energy there.
    pub energy: String,
}

/// A time below.
#[derive(Debug)]
pub struct Tick {
    /// Where.
    pub x: String,
    /// How long after the begin.
    pub label: String,
}

/// A reading in numbers.
#[derive(Debug)]
pub struct Point {
    /// When.
    pub at: Timestamp,
    /// Power then.
    pub power: String,
    /// Energy until then.
    pub energy: String,
}

impl Curve {
    /// Draws the readings, in the order of their times, from where the register stood at the begin.
    /// `None` when there is nothing to be drawn.
    pub fn draw(lang: Lang, readings: &[Reading], register: Option<WattHours>) -> Option<Self> {
        let readings = thinned(readings);
        let (first, last) = (readings.first()?, readings.last()?);
        let seconds = seconds(first.at, last.at);
        if readings.len() < 2 || seconds <= 0.0 {
            return None;
        }
        let begin = register.or_else(|| readings.iter().find_map(|it| it.energy))?;
        let delivered = |reading: &Reading| Some((reading.energy? - begin).0.max(0));
        let peak = readings.iter().filter_map(|it| it.power).map(|it| it.0);
        let peak = peak.max().unwrap_or(0);
        let total = readings.iter().filter_map(delivered).max().unwrap_or(0);
        let (power_top, energy_top) = (above(peak), above(total));
        let x = |at| LEFT + (WIDTH - LEFT - RIGHT) * self::seconds(first.at, at) / seconds;
        let y = |value: i64, top: i64| {
            let part = number(value) / number(top);
            HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part.clamp(0.0, 1.0)
        };
        let power = line(readings.iter().filter_map(|it| {
            let power = it.power?.0.max(0);
            Some((x(it.at), y(power, power_top)))
        }));
        let energy = line(readings.iter().filter_map(|it| {
            let energy = delivered(it)?;
            Some((x(it.at), y(energy, energy_top)))
        }));
        let floor = HEIGHT - BOTTOM;
        let area = match power.as_str() {
            "" => String::new(),
            power => format!("{power}V{floor:.1}H{:.1}Z", first_x(power)),
        };
        let levels = (0..=STEPS).map(|step| {
            let part = |top: i64| top / i64::from(STEPS) * i64::from(step);
            Level {
                y: format!("{:.1}", y(part(power_top), power_top)),
                power: look::power(lang, Watts(part(power_top))),
                energy: look::energy(lang, WattHours(part(energy_top))),
            }
        });
        let ticks = (0..=STEPS).map(|step| {
            let part = f64::from(step) / f64::from(STEPS);
            #[expect(clippy::cast_possible_truncation, reason = "a session's length")]
            let after = (seconds * part) as i64;
            Tick {
                x: format!("{:.1}", LEFT + (WIDTH - LEFT - RIGHT) * part),
                label: look::duration(after),
            }
        });
        let every = readings.len().div_ceil(MAX_ROWS);
        let rows = readings.iter().step_by(every.max(1)).map(|it| Point {
            at: it.at,
            power: it.power.map_or_else(dash, |power| look::power(lang, power)),
            energy: delivered(it).map_or_else(dash, |energy| look::energy(lang, WattHours(energy))),
        });
        Some(Self {
            levels: levels.collect(),
            times: ticks.collect(),
            table: rows.collect(),
            peak: look::power(lang, Watts(peak)),
            total: look::energy(lang, WattHours(total)),
            area,
            power,
            energy,
        })
    }
}

fn dash() -> String {
    "–".to_owned()
}

/// As many readings as can be told apart; the last is among them.
fn thinned(readings: &[Reading]) -> Vec<Reading> {
    let every = readings.len().div_ceil(MAX_POINTS).max(1);
    let mut kept: Vec<_> = readings.iter().step_by(every).copied().collect();
    if let Some(last) = readings.last()
        && kept.last() != Some(last)
    {
        kept.push(*last);
    }
    kept
}

fn line(points: impl Iterator<Item = (f64, f64)>) -> String {
    use std::fmt::Write as _;
    points.fold(String::new(), |mut path, (x, y)| {
        let step = if path.is_empty() { 'M' } else { 'L' };
        // Writing to a string cannot fail.
        let _ = write!(path, "{step}{x:.1} {y:.1}");
        path
    })
}

fn first_x(path: &str) -> f64 {
    let text = path.trim_start_matches('M').split(' ').next();
    text.and_then(|text| text.parse().ok()).unwrap_or(LEFT)
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "a place on a drawing")]
fn number(value: i64) -> f64 {
    value as f64
}

/// The next round number above, that can be divided into the steps.
fn above(most: i64) -> i64 {
    let mut ten = 1_i64;
    // Divided and not multiplied: there is a largest number, and a charger may send it.
    while ten <= most / 10 {
        ten *= 10;
    }
    let steps = [1, 2, 4, 6, 8, 10].map(|step| ten.saturating_mul(step));
    let top = steps.into_iter().find(|step| *step >= most);
    top.unwrap_or(most).max(i64::from(STEPS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(second: i64, energy: Option<i64>, power: Option<i64>) -> Reading {
        Reading {
            at: Timestamp::from_second(second).expect("time"),
            energy: energy.map(WattHours),
            power: power.map(Watts),
        }
    }

    #[test]
    fn a_curve_stays_within_its_axes() {
        let readings: Vec<_> = (0..1_000)
            .map(|i| reading(i * 10, Some(5_000 + i * 30), Some(11_000)))
            .collect();
        let curve = Curve::draw(Lang::En, &readings, Some(WattHours(5_000))).expect("a curve");
        assert!(curve.power.matches('L').count() <= MAX_POINTS);
        assert!(curve.table.len() <= MAX_ROWS + 1);
        assert_eq!(curve.peak.replace('\u{a0}', " "), "11.0 kW");
        assert_eq!(curve.total.replace('\u{a0}', " "), "30.0 kWh");
        for pair in curve.energy.split(['M', 'L']).filter(|it| !it.is_empty()) {
            let (x, y) = pair.split_once(' ').expect("a pair");
            let (x, y): (f64, f64) = (x.parse().expect("x"), y.parse().expect("y"));
            assert!((LEFT..=WIDTH - RIGHT).contains(&x) && (TOP..=HEIGHT - BOTTOM).contains(&y));
        }
    }

    #[test]
    fn what_is_missing_or_wild_is_borne() {
        let draw = |readings: &[Reading]| Curve::draw(Lang::Es, readings, None);
        assert!(draw(&[]).is_none());
        assert!(draw(&[reading(0, Some(1), None)]).is_none());
        assert!(draw(&[reading(5, Some(1), None), reading(5, Some(2), None)]).is_none());
        assert!(draw(&[reading(0, None, Some(1)), reading(9, None, Some(2))]).is_none());
        let wild = [
            reading(0, Some(i64::MIN), Some(i64::MAX)),
            reading(9, Some(i64::MAX), Some(-5)),
        ];
        assert!(draw(&wild).is_some());
        let no_power = [reading(0, Some(0), None), reading(9, Some(700), None)];
        assert!(draw(&no_power).expect("a curve").area.is_empty());
    }

    #[test]
    fn axes_end_at_round_numbers() {
        for (most, top) in [
            (0, 4),
            (3, 4),
            (11_000, 20_000),
            (21_500, 40_000),
            (99, 100),
        ] {
            assert_eq!(above(most), top, "{most}");
        }
    }
}
