//! The demonstration: twelve stations around Valencia that nobody will find there.
//!
//! Names, makes and streets are made up. Between them they show, within a minute, every state a
//! connector can be in and everything that happens to a network.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use url::Url;

use crate::plan::Degrees;
use crate::{
    Character, Charger, ConnectorPlan, Dialer, Happening, Moment, Pace, Recurring, Span,
    StationPlan, drive,
};

/// The cards that visitors carry. A server that wants them to charge must know them.
pub const ID_TAGS: [&str; 8] = [
    "DEMO-0001",
    "DEMO-0002",
    "DEMO-0003",
    "DEMO-0004",
    "DEMO-0005",
    "DEMO-0006",
    "DEMO-0007",
    "DEMO-0008",
];

/// The demonstration is the same every time.
pub const SEED: u64 = 46_001;

/// Between one station and the next, so that they can be seen coming.
const STAGGER: Duration = Duration::from_millis(120);

const DC_150: ConnectorPlan = ConnectorPlan {
    kind: "cCCS2",
    max_power_w: 150_000,
};
const DC_300: ConnectorPlan = ConnectorPlan {
    kind: "cCCS2",
    max_power_w: 300_000,
};
const DC_50: ConnectorPlan = ConnectorPlan {
    kind: "cCCS2",
    max_power_w: 50_000,
};
const CHADEMO_50: ConnectorPlan = ConnectorPlan {
    kind: "cG105",
    max_power_w: 50_000,
};
const AC_22: ConnectorPlan = ConnectorPlan {
    kind: "sType2",
    max_power_w: 22_000,
};
const AC_11: ConnectorPlan = ConnectorPlan {
    kind: "cType2",
    max_power_w: 11_000,
};
const AC_7: ConnectorPlan = ConnectorPlan {
    kind: "sType2",
    max_power_w: 7_400,
};

/// Breaks soon, and again and again.
const FAULTY: Character = Character {
    faults: Some(Recurring {
        first: Span::minutes(7, 11),
        every: Span::minutes(30, 55),
        lasts: Span::minutes(10, 18),
    }),
    ..Character::STEADY
};

/// On a mobile network, at the bottom of a car park. Does not boot again for that.
const FLAKY: Character = Character {
    outages: Some(Recurring {
        first: Span::minutes(12, 18),
        every: Span::minutes(25, 45),
        lasts: Span::minutes(4, 9),
    }),
    boots_on_reconnect: false,
    ..Character::STEADY
};

/// Its line is cut, and takes a while to be repaired. What it charged meanwhile comes later.
const CUT_OFF: Character = Character {
    outages: Some(Recurring {
        first: Span::minutes(14, 18),
        every: Span::minutes(150, 240),
        lasts: Span::minutes(50, 80),
    }),
    ..Character::BUSY
};

/// Somebody is always repairing something.
const MAINTAINED: Character = Character {
    closures: Some(Recurring {
        first: Span::minutes(5, 8),
        every: Span::minutes(40, 70),
        lasts: Span::minutes(20, 30),
    }),
    ..Character::STEADY
};

/// Can be booked.
const BOOKED: Character = Character {
    bookings: Some(Recurring {
        first: Span::minutes(3, 5),
        every: Span::minutes(15, 30),
        lasts: Span::minutes(6, 12),
    }),
    ..Character::STEADY
};

/// Has less power than connectors.
const SHARED: Character = Character {
    paused_by_charger: 100,
    ..Character::BUSY
};

/// What tells one station from another.
struct Sketch {
    name: &'static str,
    address: &'static str,
    /// Millionths of a degree, north and east.
    place: (i32, i32),
    make: (&'static str, &'static str, &'static str),
    connectors: &'static [ConnectorPlan],
    character: Character,
}

const XALOC: (&str, &str, &str) = ("Xaloc Electric", "XE-Rapid 150", "4.2.1");
const XALOC_TRUCK: (&str, &str, &str) = ("Xaloc Electric", "XE-Freight 300", "4.3.0");
const MESTRAL: (&str, &str, &str) = ("Mestral Systems", "Duo 22", "2026.3");
const MESTRAL_WALL: (&str, &str, &str) = ("Mestral Systems", "Wall 7", "2025.11");
const GARBI: (&str, &str, &str) = ("Garbi Works", "GW-50 Multi", "1.18-r7");
const LLEBEIG: (&str, &str, &str) = ("Llebeig", "Poste 11", "0.9.4");

const SKETCHES: [Sketch; 12] = [
    Sketch {
        name: "Hub del Azahar",
        address: "Avenida del Azahar 12, Valencia",
        place: (39_459_120, -383_410),
        make: XALOC,
        connectors: &[DC_150, DC_150, DC_150, DC_150, DC_150, DC_150],
        character: Character::BUSY,
    },
    Sketch {
        name: "Mercado de la Acequia",
        address: "Calle de la Acequia 3, Valencia",
        place: (39_473_960, -379_240),
        make: MESTRAL,
        connectors: &[AC_22, AC_22],
        character: Character::STEADY,
    },
    Sketch {
        name: "Playa de las Barracas",
        address: "Paseo de las Barracas 88, Valencia",
        place: (39_472_310, -325_080),
        make: MESTRAL,
        connectors: &[AC_22, AC_22, AC_22, AC_22],
        character: BOOKED,
    },
    Sketch {
        name: "Ayuntamiento de Benimoro",
        address: "Plaza Mayor 1, Benimoro",
        place: (39_531_870, -421_550),
        make: LLEBEIG,
        connectors: &[AC_11],
        character: Character::QUIET,
    },
    Sketch {
        name: "Aparcamiento del Palmeral",
        address: "Calle del Palmeral 41, sótano 3, Valencia",
        place: (39_467_450, -366_720),
        make: LLEBEIG,
        connectors: &[AC_11, AC_11],
        character: FLAKY,
    },
    Sketch {
        name: "Gasolinera Camino Viejo",
        address: "Camino Viejo de Silla km 4, Alfarell",
        place: (39_428_640, -386_930),
        make: GARBI,
        connectors: &[DC_50, CHADEMO_50],
        character: FAULTY,
    },
    Sketch {
        name: "Polígono La Senia",
        address: "Carrer dels Fusters 7, La Senia",
        place: (39_405_210, -401_180),
        make: GARBI,
        connectors: &[DC_50, CHADEMO_50, AC_22],
        character: CUT_OFF,
    },
    Sketch {
        name: "Residencial Huerta Norte",
        address: "Calle de la Noria 20, Almassereta",
        place: (39_512_330, -352_640),
        make: MESTRAL_WALL,
        connectors: &[AC_7, AC_7, AC_7, AC_7, AC_7, AC_7, AC_7, AC_7],
        character: MAINTAINED,
    },
    Sketch {
        name: "Centro Comercial Las Norias",
        address: "Avenida de las Norias 200, Xirivelleta",
        place: (39_463_880, -429_300),
        make: MESTRAL,
        connectors: &[AC_22, AC_22, AC_22, AC_22],
        character: SHARED,
    },
    Sketch {
        name: "Dársena de Carga",
        address: "Muelle de la Grúa, nave 5, Valencia",
        place: (39_446_570, -318_890),
        make: XALOC_TRUCK,
        connectors: &[DC_300, DC_300],
        character: Character::STEADY,
    },
    Sketch {
        name: "Hospital de la Alameda",
        address: "Calle de la Alameda Alta 55, Valencia",
        place: (39_484_020, -361_170),
        make: LLEBEIG,
        connectors: &[AC_11, AC_11, AC_22],
        character: Character::STEADY,
    },
    Sketch {
        name: "Área de Servicio El Puig Blanc",
        address: "Autovía V-99 km 16, El Puig Blanc",
        place: (39_590_460, -303_720),
        make: XALOC,
        connectors: &[DC_150, DC_150, CHADEMO_50, AC_22],
        character: Character::BUSY,
    },
];

/// The twelve stations, to be entered before they connect. They present no password.
pub fn demo() -> Vec<StationPlan> {
    let plan = |(number, sketch): (u32, Sketch)| StationPlan {
        id: format!("VLC-{number:02}"),
        name: sketch.name.to_owned(),
        latitude: Degrees(sketch.place.0),
        longitude: Degrees(sketch.place.1),
        address: sketch.address.to_owned(),
        vendor: sketch.make.0.to_owned(),
        model: sketch.make.1.to_owned(),
        firmware: sketch.make.2.to_owned(),
        connectors: sketch.connectors.to_vec(),
        character: sketch.character,
        password: None,
    };
    (1..).zip(SKETCHES).map(plan).collect()
}

/// Switches the stations on, one after the other, and lets them live until `shutdown`.
///
/// `server` is where chargers connect, without an identity: `ws://127.0.0.1:8081/ocpp`.
pub async fn run(plan: Vec<StationPlan>, server: Url, shutdown: CancellationToken) {
    debug!(stations = plan.len(), "the demonstration begins");
    let dialer = Dialer::default();
    let mut lives = JoinSet::new();
    for (index, station) in (0_u32..).zip(plan) {
        let (dialer, server, shutdown) = (dialer.clone(), server.clone(), shutdown.clone());
        lives.spawn(async move {
            let stagger = tokio::time::sleep(STAGGER * index);
            if shutdown.run_until_cancelled(stagger).await.is_none() {
                return;
            }
            let id = station.id.clone();
            let seed = SEED.wrapping_add(index.into());
            let charger = Charger::new(station, ID_TAGS, Pace::DEMO, seed, Moment::now());
            let tell = |happening: &Happening| debug!(station.id = %id, "{happening}");
            drive(charger, &dialer, &[server], shutdown, tell).await;
        });
    }
    lives.join_all().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stations_are_told_apart_and_fit_the_protocol() {
        let stations = demo();
        assert_eq!(stations.len(), 12);
        let distinct = |of: fn(&StationPlan) -> String| {
            let mut all: Vec<_> = stations.iter().map(of).collect();
            all.sort();
            all.dedup();
            all.len()
        };
        assert_eq!(distinct(|station| station.id.clone()), 12);
        assert_eq!(distinct(|station| station.name.clone()), 12);
        assert!(distinct(|station| station.vendor.clone()) >= 4);
        for station in &stations {
            assert!(
                station.vendor.len() <= 20 && station.model.len() <= 20,
                "{station:?}"
            );
            assert!(
                (39.3..39.7).contains(&station.latitude.as_f64()),
                "{station:?}"
            );
            assert!(
                (-0.5..-0.2).contains(&station.longitude.as_f64()),
                "{station:?}"
            );
        }
    }
}
