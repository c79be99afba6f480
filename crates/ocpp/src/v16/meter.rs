//! Meter values, and the plain facts in them.

use jiff::Timestamp;
use serde::Serialize;

use super::{Location, Measurand, Phase, ReadingContext, UnitOfMeasure, ValueFormat};
use crate::read::Reader;
use crate::time;

/// Points in time kept of one message. A day of minutes is 1,440, but no charger keeps those; the
/// bound is there for the one that repeats itself.
pub const MAX_METER_VALUES: usize = 2_000;

/// Values kept of one point in time: every measurand on every phase is 22 × 10, of which no meter
/// sends a quarter.
pub const MAX_SAMPLED_VALUES: usize = 64;

/// Beyond this a `f64` is no longer exact, and no meter on earth has counted so far.
const MAX_READING: f64 = 9_007_199_254_740_992.0;

/// What a meter showed at one point in time (OCPP 1.6 §7.33).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MeterValue {
    /// When. `None` where it could not be read.
    #[serde(
        serialize_with = "time::write_optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub timestamp: Option<Timestamp>,
    /// What.
    pub sampled_value: Vec<SampledValue>,
}

impl MeterValue {
    pub(super) fn read(fields: &mut Reader<'_, '_>) -> Self {
        Self {
            timestamp: fields.time("timestamp").expected(),
            sampled_value: fields.list("sampledValue", MAX_SAMPLED_VALUES, SampledValue::read),
        }
    }

    pub(super) fn read_list(fields: &mut Reader<'_, '_>, name: &'static str) -> Vec<Self> {
        fields.list(name, MAX_METER_VALUES, Self::read)
    }

    /// The energy register in Wh: `Energy.Active.Import.Register`, the reading that is billed.
    pub fn energy_wh(&self) -> Option<i64> {
        use UnitOfMeasure::{KiloWattHour, WattHour};
        self.total(
            &Measurand::EnergyActiveImportRegister,
            &WattHour,
            &KiloWattHour,
        )
    }

    /// The power drawn in W: `Power.Active.Import`.
    pub fn power_w(&self) -> Option<i64> {
        use UnitOfMeasure::{KiloWatt, Watt};
        self.total(&Measurand::PowerActiveImport, &Watt, &KiloWatt)
    }

    /// The overall value at the outlet where there is one, else elsewhere; and where a meter only
    /// tells its phases, their sum.
    fn total(
        &self,
        measurand: &Measurand,
        unit: &UnitOfMeasure,
        kilo: &UnitOfMeasure,
    ) -> Option<i64> {
        let at = |outlet: bool| {
            let mut overall = None;
            let mut lines = [None; 3];
            for sample in &self.sampled_value {
                if sample.measurand() != measurand || sample.is_at_outlet() != outlet {
                    continue;
                }
                let Some(value) = sample.in_unit(unit, kilo) else {
                    continue;
                };
                let place = match &sample.phase {
                    None => &mut overall,
                    Some(phase) => match phase.line() {
                        Some(line) => &mut lines[line],
                        None => continue,
                    },
                };
                // A charger that gives both `L1` and `L1-N` means the same energy.
                place.get_or_insert(value);
            }
            let sum = || lines.into_iter().flatten().reduce(|sum, value| sum + value);
            overall.or_else(sum)
        };
        at(true).or_else(|| at(false)).and_then(whole)
    }
}

/// One value of one quantity (OCPP 1.6 §7.43).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SampledValue {
    /// A decimal number, or signed data. Empty where it was missing.
    pub value: String,
    /// When in the life of a transaction it was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<ReadingContext>,
    /// How to read [`value`](Self::value).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<ValueFormat>,
    /// What was measured; see [`measurand`](Self::measurand).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measurand: Option<Measurand>,
    /// On which conductors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// In what unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitOfMeasure>,
}

impl SampledValue {
    fn read(fields: &mut Reader<'_, '_>) -> Self {
        Self {
            value: fields.long_text("value").expected().unwrap_or_default(),
            context: fields.word("context").optional(),
            format: fields.word("format").optional(),
            measurand: fields.word("measurand").optional(),
            phase: fields.word("phase").optional(),
            location: fields.word("location").optional(),
            unit: fields.word("unit").optional(),
        }
    }

    /// What was measured, said or not.
    pub fn measurand(&self) -> &Measurand {
        self.measurand
            .as_ref()
            .unwrap_or(&Measurand::EnergyActiveImportRegister)
    }

    /// The value as a number; `None` for signed data and for what is no finite number.
    pub fn number(&self) -> Option<f64> {
        if self.format == Some(ValueFormat::SignedData) {
            return None;
        }
        self.value
            .trim()
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
    }

    fn is_at_outlet(&self) -> bool {
        matches!(self.location, None | Some(Location::Outlet))
    }

    /// The value in `unit`; `None` where it is in neither that nor its thousandfold.
    fn in_unit(&self, unit: &UnitOfMeasure, kilo: &UnitOfMeasure) -> Option<f64> {
        let number = self.number()?;
        match &self.unit {
            None => Some(number),
            Some(given) if given == unit => Some(number),
            Some(given) if given == kilo => Some(number * 1000.0),
            Some(_) => None,
        }
    }
}

impl Phase {
    /// The line a value belongs to, from 0, if it belongs to one.
    const fn line(&self) -> Option<usize> {
        match self {
            Self::L1 | Self::L1N => Some(0),
            Self::L2 | Self::L2N => Some(1),
            Self::L3 | Self::L3N => Some(2),
            Self::N | Self::L1L2 | Self::L2L3 | Self::L3L1 | Self::Unknown(_) => None,
        }
    }
}

fn whole(number: f64) -> Option<i64> {
    let number = number.round();
    #[expect(clippy::cast_possible_truncation, reason = "rounded and bounded")]
    (number.abs() <= MAX_READING).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::super::MeterValues;
    use super::*;
    use crate::message::Message;

    fn meter_value(samples: &str) -> MeterValue {
        let payload = format!(r#"{{"meterValue":[{{"sampledValue":{samples}}}]}}"#);
        MeterValues::parse(&payload)
            .unwrap()
            .message
            .meter_value
            .remove(0)
    }

    #[test]
    fn energy_is_the_import_register_in_watt_hours() {
        let check = |samples: &str, expect: Option<i64>| {
            assert_eq!(meter_value(samples).energy_wh(), expect, "{samples}");
        };
        check("[]", None);
        check(r#"[{"value":"1500"}]"#, Some(1500));
        check(r#"[{"value":" 1500.6 ","unit":"Wh"}]"#, Some(1501));
        check(r#"[{"value":1.2345,"unit":"kWh"}]"#, Some(1235));
        check(r#"[{"value":"-3"}]"#, Some(-3));
        check(
            r#"[{"value":"7","measurand":"Energy.Active.Import.Register"}]"#,
            Some(7),
        );
        check(
            r#"[{"value":"7","measurand":"energy.active.import.register"}]"#,
            Some(7),
        );
        check(
            r#"[{"value":"7","measurand":"Energy.Active.Import.Interval"}]"#,
            None,
        );
        check(r#"[{"value":"7","unit":"W"}]"#, None);
        check(r#"[{"value":"7","unit":"MWh"}]"#, None);
        check(r#"[{"value":"7","format":"SignedData"}]"#, None);
        check(
            r#"[{"value":"7","format":"SignedData"},{"value":"8"}]"#,
            Some(8),
        );
        for nonsense in ["", "twelve", "NaN", "inf", "1e300"] {
            check(&format!(r#"[{{"value":"{nonsense}"}}]"#), None);
        }
    }

    #[test]
    fn phases_are_added_up_only_where_there_is_no_total() {
        let check = |samples: &str, expect: Option<i64>| {
            assert_eq!(meter_value(samples).energy_wh(), expect, "{samples}");
        };
        let phases = r#"{"value":"1","phase":"L1"},{"value":"2","phase":"L2"},
            {"value":"0.003","phase":"L3","unit":"kWh"},{"value":"50","phase":"N"}"#;
        check(&format!("[{phases}]"), Some(6));
        check(&format!(r#"[{phases},{{"value":"7"}}]"#), Some(7));
        check(
            r#"[{"value":"1","phase":"L1-N"},{"value":"2","phase":"L2-N"}]"#,
            Some(3),
        );
        check(
            r#"[{"value":"1","phase":"L1"},{"value":"1","phase":"L1-N"}]"#,
            Some(1),
        );
        check(r#"[{"value":"1","phase":"L1-L2"}]"#, None);
        // 0.4 Wh three times is 1 Wh, not three times nothing.
        let thirds = ["L1", "L2", "L3"].map(|l| format!(r#"{{"value":"0.4","phase":"{l}"}}"#));
        check(&format!("[{}]", thirds.join(",")), Some(1));
    }

    #[test]
    fn the_outlet_counts_before_other_places() {
        let inlet = r#"{"value":"9","location":"Inlet"}"#;
        assert_eq!(meter_value(&format!("[{inlet}]")).energy_wh(), Some(9));
        assert_eq!(
            meter_value(&format!(r#"[{inlet},{{"value":"8"}}]"#)).energy_wh(),
            Some(8)
        );
    }

    #[test]
    fn power_is_what_is_drawn_in_watts() {
        let check = |samples: &str, expect: Option<i64>| {
            assert_eq!(meter_value(samples).power_w(), expect, "{samples}");
        };
        check(
            r#"[{"value":"7360","measurand":"Power.Active.Import","unit":"W"}]"#,
            Some(7360),
        );
        check(
            r#"[{"value":"7.36","measurand":"Power.Active.Import","unit":"kW"}]"#,
            Some(7360),
        );
        check(
            r#"[{"value":"7360","measurand":"Power.Active.Import"}]"#,
            Some(7360),
        );
        check(
            r#"[{"value":"7360","measurand":"Power.Offered","unit":"W"}]"#,
            None,
        );
        check(r#"[{"value":"7360"}]"#, None);
    }
}
