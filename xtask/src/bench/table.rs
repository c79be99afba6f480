//! What was measured, as a table and as JSON.

use std::fmt;

use anyhow::{Result, bail};
use serde_json::{Value, json};

/// What is aimed at: a ratio where there is a floor to hold it against, else the number itself.
#[derive(Clone, Copy)]
pub enum Aim {
    AtLeast(f64),
    AtMost(f64),
    /// Told so that the rest can be understood.
    None,
}

/// One measurement.
pub struct Row {
    what: String,
    measured: f64,
    unit: &'static str,
    floor: Option<f64>,
    ratio: Option<f64>,
    aim: Aim,
    note: String,
}

impl Row {
    /// A rate, held against a floor's: the aim is the ratio's.
    pub fn ratio(
        what: &str,
        measured: f64,
        floor: f64,
        ratio: f64,
        unit: &'static str,
        aim: Aim,
    ) -> Self {
        Self {
            floor: Some(floor),
            ratio: Some(ratio),
            ..Self::absolute(what, measured, unit, aim)
        }
    }

    /// A number that the aim is about.
    pub fn absolute(what: &str, measured: f64, unit: &'static str, aim: Aim) -> Self {
        Self {
            what: what.to_owned(),
            measured,
            unit,
            floor: None,
            ratio: None,
            aim,
            note: String::new(),
        }
    }

    /// A floor to look at; the aim stays the number's.
    pub fn with_floor(self, floor: f64) -> Self {
        Self {
            floor: Some(floor),
            ..self
        }
    }

    pub fn with_note(self, note: &str) -> Self {
        Self {
            note: note.to_owned(),
            ..self
        }
    }

    fn met(&self) -> bool {
        let value = self.ratio.unwrap_or(self.measured);
        match self.aim {
            Aim::AtLeast(aim) => value >= aim,
            Aim::AtMost(aim) => value <= aim,
            Aim::None => true,
        }
    }

    fn json(&self) -> Value {
        let aim = match self.aim {
            Aim::AtLeast(aim) => Some(format!("at least {aim}")),
            Aim::AtMost(aim) => Some(format!("at most {aim}")),
            Aim::None => None,
        };
        let met = aim.is_some().then(|| self.met());
        json!({
            "what": self.what, "measured": self.measured, "unit": self.unit, "floor": self.floor,
            "ratio": self.ratio, "aim": aim, "met": met, "note": self.note,
        })
    }
}

/// All of them.
#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
    failures: Vec<String>,
}

impl Table {
    /// Takes in what a measurement gave, or why it gave nothing. It is told at once.
    pub fn add(&mut self, name: &str, rows: Result<Vec<Row>>) {
        match rows {
            Ok(rows) => {
                for row in rows {
                    println!("  {row}");
                    self.rows.push(row);
                }
            }
            Err(error) => {
                println!("  {name} could not be measured: {error:#}");
                self.failures.push(format!("{name}: {error:#}"));
            }
        }
    }

    pub fn json(&self, quick: bool) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        json!({"quick": quick, "rows": rows, "failures": self.failures})
    }

    /// An aim that is not met is news, not an error; a measurement that failed is one.
    pub fn complete(&self) -> Result<()> {
        if self.failures.is_empty() {
            return Ok(());
        }
        bail!("not everything was measured:\n{}", self.failures.join("\n"))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let optional = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
        let ratio = self
            .ratio
            .map_or_else(|| "–".to_owned(), |r| format!("{r:.2}"));
        let aim = match self.aim {
            Aim::AtLeast(aim) => format!("≥ {}", number(aim)),
            Aim::AtMost(aim) => format!("≤ {}", number(aim)),
            Aim::None => "–".to_owned(),
        };
        let mark = match self.aim {
            Aim::None => ' ',
            _ if self.met() => '✓',
            _ => '✗',
        };
        write!(
            f,
            "{} {:<58} {:>8} {:<6} {:>8} {:>6} {:>9}  {}",
            mark,
            self.what,
            number(self.measured),
            self.unit,
            optional(self.floor),
            ratio,
            aim,
            self.note
        )
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  {:<58} {:>15} {:>8} {:>6} {:>9}",
            "", "measured", "floor", "ratio", "aim"
        )?;
        for row in &self.rows {
            writeln!(f, "{row}")?;
        }
        Ok(())
    }
}

/// As many digits as mean something.
fn number(value: f64) -> String {
    if value.is_nan() {
        return "never".to_owned();
    }
    let decimals = match value.abs() {
        small if small < 10.0 => 2,
        small if small < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match fraction.trim_end_matches('0') {
        "" => grouped,
        fraction => format!("{grouped}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_at_a_glance() {
        let check = |value: f64, expect: &str| assert_eq!(number(value), expect);
        check(0.85, "0.85");
        check(0.5, "0.5");
        check(20.0, "20");
        check(25_000.4, "25,000");
        check(1_234_567.0, "1,234,567");
        check(f64::NAN, "never");
    }

    #[test]
    fn a_ratio_is_held_against_the_aim_where_there_is_one() {
        let aim = Aim::AtLeast(0.5);
        assert!(Row::ratio("", 60.0, 100.0, 0.6, "", aim).met());
        assert!(!Row::ratio("", 40.0, 100.0, 0.4, "", aim).met());
        assert!(Row::absolute("", 19.0, "", Aim::AtMost(20.0)).met());
        assert!(!Row::absolute("", f64::NAN, "", Aim::AtMost(20.0)).met());
    }
}
