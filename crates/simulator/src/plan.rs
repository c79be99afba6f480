//! What a simulated station is and how it will behave, before it exists.

use std::time::Duration;

use rand::Rng;
use rand::rngs::SmallRng;

/// A station: what a network enters about it, and what it does all day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StationPlan {
    /// Its identity on the network, the last part of its address.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Degrees north.
    pub latitude: Degrees,
    /// Degrees east.
    pub longitude: Degrees,
    /// Street and number.
    pub address: String,
    /// Who made it.
    pub vendor: String,
    /// What they call it.
    pub model: String,
    /// The firmware it says it runs.
    pub firmware: String,
    /// Its connectors, counted from 1 as OCPP 1.6 does. Each is an EVSE of its own: a car at one
    /// does not keep a car from another.
    pub connectors: Vec<ConnectorPlan>,
    /// What its days are like.
    pub character: Character,
    /// What it presents when it connects, if anything.
    pub password: Option<String>,
}

/// Millionths of a degree, some ten centimetres on the ground: exact, and comparable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Degrees(pub i32);

impl Degrees {
    /// As maps write it.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

/// A connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectorPlan {
    /// Its type, as OCPP 2.0.1 names them: `cCCS2`, `sType2`, `cG105` …
    pub kind: &'static str,
    /// The most it delivers, in watts.
    pub max_power_w: u32,
}

/// What a station's days are like. All durations are people's time, which a [`Pace`] shortens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Character {
    /// Until the first car comes to a connector.
    pub first_car: Span,
    /// Between one car leaving and the next one coming.
    pub gap: Span,
    /// How long a car charges.
    pub stay: Span,
    /// Sessions out of a hundred that the charger pauses, because the power is shared.
    pub paused_by_charger: u32,
    /// Sessions out of a hundred that the car pauses before it leaves, because it is full.
    pub paused_by_car: u32,
    /// A connector breaks and is repaired.
    pub faults: Option<Recurring>,
    /// The network is gone; the station goes on without it.
    pub outages: Option<Recurring>,
    /// A connector is closed for maintenance.
    pub closures: Option<Recurring>,
    /// A free connector is booked through the maker's own app, and the booking lapses.
    pub bookings: Option<Recurring>,
    /// Whether it boots again whenever it reconnects. Many only do so after losing power.
    pub boots_on_reconnect: bool,
}

/// Something that happens now and then, and lasts a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recurring {
    /// Until the first time.
    pub first: Span,
    /// From its beginning to the next one.
    pub every: Span,
    /// How long it lasts.
    pub lasts: Span,
}

/// A duration that is drawn anew each time, between these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// At least.
    pub least: Duration,
    /// At most.
    pub most: Duration,
}

impl Span {
    /// A span in minutes of people's time.
    pub const fn minutes(least: u64, most: u64) -> Self {
        Self {
            least: Duration::from_mins(least),
            most: Duration::from_mins(most),
        }
    }
}

impl Character {
    /// Neither busy nor quiet, and nothing ever goes wrong.
    pub const STEADY: Self = Self {
        first_car: Span::minutes(3, 20),
        gap: Span::minutes(10, 30),
        stay: Span::minutes(20, 45),
        paused_by_charger: 0,
        paused_by_car: 33,
        faults: None,
        outages: None,
        closures: None,
        bookings: None,
        boots_on_reconnect: true,
    };

    /// One car after the other.
    pub const BUSY: Self = Self {
        first_car: Span::minutes(1, 8),
        gap: Span::minutes(3, 9),
        stay: Span::minutes(15, 35),
        paused_by_charger: 40,
        ..Self::STEADY
    };

    /// For somebody who has come to watch one charger.
    pub const TALKATIVE: Self = Self {
        first_car: Span::minutes(2, 4),
        gap: Span::minutes(6, 12),
        stay: Span::minutes(20, 30),
        ..Self::STEADY
    };

    /// A car now and then.
    pub const QUIET: Self = Self {
        first_car: Span::minutes(15, 50),
        gap: Span::minutes(40, 90),
        stay: Span::minutes(30, 60),
        ..Self::STEADY
    };
}

/// How many times faster than life people's time passes. See the crate's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace(pub u32);

impl Pace {
    /// A minute in a second: a visitor sees everything a network does within a minute.
    pub const DEMO: Self = Self(60);

    /// Draws a duration and shortens it.
    pub(crate) fn draw(self, span: Span, rng: &mut SmallRng) -> Duration {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let drawn = rng.random_range(millis(span.least)..=millis(span.most.max(span.least)));
        Duration::from_millis(drawn / u64::from(self.0.max(1)))
    }
}

impl StationPlan {
    /// A plain station with as many connectors of 22 kW as asked for.
    pub fn plain(id: &str, connectors: usize) -> Self {
        let socket = ConnectorPlan {
            kind: "sType2",
            max_power_w: 22_000,
        };
        Self {
            id: id.to_owned(),
            name: id.to_owned(),
            latitude: Degrees(39_469_900),
            longitude: Degrees(-376_300),
            address: String::new(),
            vendor: "Enchufe".to_owned(),
            model: "Simulated".to_owned(),
            firmware: env!("CARGO_PKG_VERSION").to_owned(),
            connectors: vec![socket; connectors],
            character: Character::STEADY,
            password: None,
        }
    }
}
