//! The status of each level, and how it follows from the level below.
//!
//! | derived   | rule, first that holds |
//! | --------- | ---------------------- |
//! | connector | inoperative by the operator → unavailable; else the class of what is reported |
//! | EVSE      | any connector occupied, reserved, available, faulted, unavailable → that; unknown |
//! | station   | offline → offline; itself reported faulted or unavailable → that; any EVSE available, occupied, reserved → that; all faulted → faulted; any unavailable → unavailable; unknown |
//!
//! The functions here see nothing but the parts they are given, so the answer cannot depend on
//! history. Where several parts qualify, the lowest-numbered one is named as the cause.

use serde::{Deserialize, Serialize};

use crate::id::{ConnectorNo, EvseNo};

/// A closed set of words, with the words themselves and the way back.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word used in bodies, rows, labels and logs.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The value behind a word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What a charger, or a person by hand, reports of a connector. The nine of OCPP 1.6 §7.7,
    /// the one that 2.x has instead of four of them, and "not yet told".
    ConnectorStatus {
        /// Free.
        Available = "available",
        /// Somebody has begun: a cable or a tag.
        Preparing = "preparing",
        /// Energy flows.
        Charging = "charging",
        /// The vehicle takes nothing.
        SuspendedEv = "suspended_ev",
        /// The station gives nothing.
        SuspendedEvse = "suspended_evse",
        /// Ended, and the vehicle still there.
        Finishing = "finishing",
        /// In use (OCPP 2.x does not say how).
        Occupied = "occupied",
        /// Kept for somebody.
        Reserved = "reserved",
        /// Out of use.
        Unavailable = "unavailable",
        /// Broken.
        Faulted = "faulted",
        /// Nothing was ever reported.
        Unknown = "unknown",
    }
}

words! {
    /// The class of a connector's or an EVSE's status.
    Status {
        /// A vehicle can charge here.
        Available = "available",
        /// A vehicle is here.
        Occupied = "occupied",
        /// Kept for somebody.
        Reserved = "reserved",
        /// Out of use.
        Unavailable = "unavailable",
        /// Broken.
        Faulted = "faulted",
        /// Nobody has said.
        Unknown = "unknown",
    }
}

words! {
    /// The status of a station: a class, or offline.
    StationStatus {
        /// A vehicle can charge here.
        Available = "available",
        /// Every usable EVSE has a vehicle.
        Occupied = "occupied",
        /// Kept for somebody.
        Reserved = "reserved",
        /// Out of use.
        Unavailable = "unavailable",
        /// Broken.
        Faulted = "faulted",
        /// Its charger has no live connection: what was last known may no longer hold.
        Offline = "offline",
        /// Nobody has said.
        Unknown = "unknown",
    }
}

words! {
    /// The operator's decision, kept apart from what the hardware reports.
    Availability {
        /// May be used.
        Operative = "operative",
        /// Taken out of use.
        Inoperative = "inoperative",
    }
}

words! {
    /// The level at which a status was decided.
    Level {
        /// The network connection.
        Connection = "connection",
        /// The station as a whole.
        Station = "station",
        /// An EVSE.
        Evse = "evse",
        /// A connector.
        Connector = "connector",
    }
}

words! {
    /// Why a part has the status it has.
    Reason {
        /// There is no live connection.
        Offline = "offline",
        /// The operator took it out of use.
        Operator = "operator",
        /// The charger, or a person by hand, reported it.
        Reported = "reported",
        /// Nothing was ever reported.
        NeverReported = "never_reported",
        /// There are no parts to derive from.
        NoParts = "no_parts",
    }
}

/// Which part decided a status, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cause {
    /// The level that decided.
    pub level: Level,
    /// The EVSE, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evse: Option<EvseNo>,
    /// The connector, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<ConnectorNo>,
    /// Why.
    pub reason: Reason,
}

impl Cause {
    /// A cause at the level of the station or its connection.
    pub const fn whole(level: Level, reason: Reason) -> Self {
        Self {
            level,
            evse: None,
            connector: None,
            reason,
        }
    }
}

/// How many connectors have each derived status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Free.
    pub available: u32,
    /// In use.
    pub occupied: u32,
    /// Kept.
    pub reserved: u32,
    /// Out of use.
    pub unavailable: u32,
    /// Broken.
    pub faulted: u32,
    /// Not known.
    pub unknown: u32,
}

impl Counts {
    /// Counts one more connector.
    pub fn add(&mut self, status: Status) {
        *match status {
            Status::Available => &mut self.available,
            Status::Occupied => &mut self.occupied,
            Status::Reserved => &mut self.reserved,
            Status::Unavailable => &mut self.unavailable,
            Status::Faulted => &mut self.faulted,
            Status::Unknown => &mut self.unknown,
        } += 1;
    }

    /// How many have this status.
    pub fn of(&self, status: Status) -> u32 {
        match status {
            Status::Available => self.available,
            Status::Occupied => self.occupied,
            Status::Reserved => self.reserved,
            Status::Unavailable => self.unavailable,
            Status::Faulted => self.faulted,
            Status::Unknown => self.unknown,
        }
    }
}

impl ConnectorStatus {
    /// The class a reported status belongs to: preparing to finishing are occupied.
    pub const fn class(self) -> Status {
        match self {
            Self::Available => Status::Available,
            Self::Preparing
            | Self::Charging
            | Self::SuspendedEv
            | Self::SuspendedEvse
            | Self::Finishing
            | Self::Occupied => Status::Occupied,
            Self::Reserved => Status::Reserved,
            Self::Unavailable => Status::Unavailable,
            Self::Faulted => Status::Faulted,
            Self::Unknown => Status::Unknown,
        }
    }
}

impl From<Status> for StationStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Available => Self::Available,
            Status::Occupied => Self::Occupied,
            Status::Reserved => Self::Reserved,
            Status::Unavailable => Self::Unavailable,
            Status::Faulted => Self::Faulted,
            Status::Unknown => Self::Unknown,
        }
    }
}

/// What the connector's rule looks at.
#[derive(Clone, Copy, Debug)]
pub struct ConnectorFacts {
    /// The connector's number.
    pub number: ConnectorNo,
    /// What was last reported.
    pub reported: ConnectorStatus,
    /// The level at which the operator took it out of use, if any did.
    pub taken_out: Option<Level>,
}

/// The derived status of a connector, and why.
pub fn of_connector(evse: EvseNo, facts: ConnectorFacts) -> (Status, Cause) {
    let here = |level, reason| Cause {
        level,
        evse: (level != Level::Station).then_some(evse),
        connector: (level == Level::Connector).then_some(facts.number),
        reason,
    };
    match (facts.taken_out, facts.reported) {
        (Some(level), _) => (Status::Unavailable, here(level, Reason::Operator)),
        (None, ConnectorStatus::Unknown) => (
            Status::Unknown,
            here(Level::Connector, Reason::NeverReported),
        ),
        (None, reported) => (reported.class(), here(Level::Connector, Reason::Reported)),
    }
}

/// The order in which an EVSE's rule looks at its connectors.
const EVSE_ORDER: [Status; 5] = [
    Status::Occupied,
    Status::Reserved,
    Status::Available,
    Status::Faulted,
    Status::Unavailable,
];

/// The derived status of an EVSE from its connectors' derived ones, in any order.
#[expect(
    clippy::needless_pass_by_value,
    reason = "an iterator that is looked through anew for each rule"
)]
pub fn of_evse(
    evse: EvseNo,
    connectors: impl Iterator<Item = (ConnectorNo, Status, Cause)> + Clone,
) -> (Status, Cause) {
    let lowest = |status| {
        connectors
            .clone()
            .filter(|(_, s, _)| *s == status)
            .min_by_key(|(number, ..)| *number)
            .map(|(_, status, cause)| (status, cause))
    };
    EVSE_ORDER
        .into_iter()
        .find_map(lowest)
        .or_else(|| lowest(Status::Unknown))
        .unwrap_or((
            Status::Unknown,
            Cause {
                level: Level::Evse,
                evse: Some(evse),
                connector: None,
                reason: Reason::NoParts,
            },
        ))
}

/// What the station's rule looks at, besides its EVSEs.
#[derive(Clone, Copy, Debug)]
pub struct StationFacts {
    /// A charger speaks for it and has no live socket.
    pub offline: bool,
    /// What its charger reported of the station itself (connector 0 in 1.6, EVSE 0 in 2.x).
    pub reported: Option<ConnectorStatus>,
}

/// The derived status of a station from its EVSEs' derived ones, in any order.
#[expect(
    clippy::needless_pass_by_value,
    reason = "an iterator that is looked through anew for each rule"
)]
pub fn of_station(
    facts: StationFacts,
    evses: impl Iterator<Item = (EvseNo, Status, Cause)> + Clone,
) -> (StationStatus, Cause) {
    if facts.offline {
        return (
            StationStatus::Offline,
            Cause::whole(Level::Connection, Reason::Offline),
        );
    }
    if let Some(status @ (ConnectorStatus::Faulted | ConnectorStatus::Unavailable)) = facts.reported
    {
        return (
            status.class().into(),
            Cause::whole(Level::Station, Reason::Reported),
        );
    }
    let lowest = |status| {
        evses
            .clone()
            .filter(|(_, s, _)| *s == status)
            .min_by_key(|(number, ..)| *number)
            .map(|(_, status, cause)| (status.into(), cause))
    };
    let all_faulted = evses
        .clone()
        .all(|(_, status, _)| status == Status::Faulted);
    let usable = [Status::Available, Status::Occupied, Status::Reserved];
    usable
        .into_iter()
        .find_map(lowest)
        .or_else(|| {
            if all_faulted {
                lowest(Status::Faulted)
            } else {
                None
            }
        })
        .or_else(|| lowest(Status::Unavailable))
        .or_else(|| lowest(Status::Unknown))
        // Left: no EVSEs at all.
        .unwrap_or((
            StationStatus::Unknown,
            Cause::whole(Level::Station, Reason::NoParts),
        ))
}

/// True when a station can be used though not all of it works.
pub fn degraded(station: StationStatus, counts: &Counts) -> bool {
    let usable = matches!(
        station,
        StationStatus::Available | StationStatus::Occupied | StationStatus::Reserved
    );
    usable && counts.faulted + counts.unavailable > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evse(statuses: &[Status]) -> Status {
        let parts = (1..).zip(statuses).map(|(i, s)| {
            let number = ConnectorNo::try_from(i).unwrap();
            (number, *s, Cause::whole(Level::Connector, Reason::Reported))
        });
        of_evse(EvseNo::ONE, parts).0
    }

    fn station(offline: bool, own: Option<ConnectorStatus>, statuses: &[Status]) -> StationStatus {
        let parts = (1..).zip(statuses).map(|(i, s)| {
            let number = EvseNo::try_from(i).unwrap();
            (number, *s, Cause::whole(Level::Connector, Reason::Reported))
        });
        of_station(
            StationFacts {
                offline,
                reported: own,
            },
            parts,
        )
        .0
    }

    #[test]
    fn an_evse_follows_the_table() {
        use Status::{Available, Faulted, Occupied, Reserved, Unavailable, Unknown};
        assert_eq!(evse(&[Available, Occupied, Faulted]), Occupied);
        assert_eq!(evse(&[Available, Reserved, Faulted]), Reserved);
        assert_eq!(evse(&[Faulted, Available]), Available);
        assert_eq!(evse(&[Unavailable, Faulted]), Faulted);
        assert_eq!(evse(&[Unknown, Unavailable]), Unavailable);
        assert_eq!(evse(&[Unknown]), Unknown);
        assert_eq!(evse(&[]), Unknown);
    }

    #[test]
    fn a_station_follows_the_table() {
        use StationStatus as S;
        use Status::{Available, Faulted, Occupied, Reserved, Unavailable, Unknown};
        assert_eq!(station(true, None, &[Available]), S::Offline);
        assert_eq!(
            station(true, Some(ConnectorStatus::Faulted), &[Available]),
            S::Offline
        );
        assert_eq!(
            station(false, Some(ConnectorStatus::Faulted), &[Available]),
            S::Faulted
        );
        assert_eq!(
            station(false, Some(ConnectorStatus::Unavailable), &[Occupied]),
            S::Unavailable
        );
        assert_eq!(
            station(false, Some(ConnectorStatus::Available), &[Faulted]),
            S::Faulted
        );
        assert_eq!(station(false, None, &[Occupied, Available]), S::Available);
        assert_eq!(
            station(false, None, &[Reserved, Occupied, Faulted]),
            S::Occupied
        );
        assert_eq!(station(false, None, &[Reserved, Unavailable]), S::Reserved);
        assert_eq!(station(false, None, &[Faulted, Faulted]), S::Faulted);
        assert_eq!(
            station(false, None, &[Faulted, Unavailable]),
            S::Unavailable
        );
        assert_eq!(station(false, None, &[Faulted, Unknown]), S::Unknown);
        assert_eq!(station(false, None, &[]), S::Unknown);
    }

    #[test]
    fn words_come_back() {
        for status in ConnectorStatus::ALL {
            assert_eq!(ConnectorStatus::from_word(status.as_str()), Some(*status));
        }
        assert_eq!(Status::from_word("offline"), None);
    }
}
