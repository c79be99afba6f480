//! Quantities that are billed or compared are integers with a unit in their type.

use std::fmt;
use std::ops::Sub;

use serde::{Deserialize, Serialize};

/// Energy in watt-hours.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct WattHours(pub i64);

/// Power in watts.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Watts(pub i64);

impl Sub for WattHours {
    type Output = Self;
    /// Saturating: a charger may report any number at all.
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Watts {
    /// The most energy this power can deliver in `seconds`, a negative time counting as none.
    pub fn energy_in(self, seconds: i64) -> WattHours {
        let watt_seconds = i128::from(self.0.max(0)) * i128::from(seconds.max(0));
        WattHours(i64::try_from(watt_seconds / 3600).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for WattHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Wh", self.0)
    }
}

impl fmt::Display for Watts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} W", self.0)
    }
}
