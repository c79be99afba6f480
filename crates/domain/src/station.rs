//! A station, its EVSEs and their connectors: what they are, and what may be done to them.
//!
//! Every change takes the station by value and gives back a [`Decided`]: the new station and the
//! events that tell what changed. Nothing here is written anywhere; that is the caller's part.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{EventKind, NewEvent};
use crate::id::{ConnectorNo, EvseNo, MAX_CONNECTORS, MAX_EVSES, NodeId, StationId};
use crate::status::{
    self, Availability, Cause, ConnectorFacts, ConnectorStatus, Counts, Level, Reason,
    StationFacts, StationStatus, Status, words,
};
use crate::units::{WattHours, Watts};

mod layout;
mod reports;

pub use layout::{ConnectorSpec, EvseSpec, StationSpec};
pub use reports::Source;

words! {
    /// Who speaks for a station's state.
    Reporting {
        /// People, through the API.
        Manual = "manual",
        /// Its charger, since the first time one connected.
        Charger = "charger",
    }
}

/// A station: the unit with a network identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Station {
    /// Its network identity.
    pub id: StationId,
    /// What people call it.
    pub name: String,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// One higher with every commit; never the same twice for an id, even when it is deleted and
    /// entered again.
    pub version: i64,
    /// Who speaks for its state.
    pub reporting: Reporting,
    /// The operator's decision about the whole station.
    pub operator: Availability,
    /// Whether its charger has a live connection.
    pub online: bool,
    /// The epoch of its latest connection: one higher each time, and never the same twice for an
    /// id, even when it is deleted and entered again.
    pub epoch: i64,
    /// The node at which its charger is connected, while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<NodeId>,
    /// The protocol of its latest connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// When its charger was last heard, as far as it is written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// Whether its charger's boot was ever accepted. That holds over reconnects.
    pub booted: bool,
    /// What its charger is.
    pub hardware: Hardware,
    /// What is reported of the station itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<Report>,
    /// The OCPP security profile its charger must keep to, once credentials are set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_profile: Option<u8>,
    /// Derived status.
    pub status: StationStatus,
    /// Since when.
    pub status_since: Timestamp,
    /// Because of what.
    pub status_cause: Cause,
    /// Its EVSEs, in the order of their numbers.
    pub evses: Vec<Evse>,
    /// When it was entered.
    pub created_at: Timestamp,
    /// When it last changed in any way.
    pub updated_at: Timestamp,
}

/// An EVSE (charging point): charges one vehicle at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evse {
    /// Its number within the station.
    pub number: EvseNo,
    /// The operator's decision about it.
    pub operator: Availability,
    /// Derived status.
    pub status: Status,
    /// Since when.
    pub status_since: Timestamp,
    /// Because of what.
    pub status_cause: Cause,
    /// Its connectors, in the order of their numbers.
    pub connectors: Vec<Connector>,
}

/// A connector: a cable or a socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connector {
    /// Its number within the EVSE.
    pub number: ConnectorNo,
    /// The operator's decision about it.
    pub operator: Availability,
    /// What was last reported of it.
    pub reported: Report,
    /// Derived status.
    pub status: Status,
    /// Since when.
    pub status_since: Timestamp,
    /// Because of what.
    pub status_cause: Cause,
    /// Its kind, as OCPP 2.x names them (`cCCS2`, `sType2`, …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The most it can deliver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_power: Option<Watts>,
    /// The last reading of its energy register.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub register: Option<WattHours>,
}

/// What was reported, and since when it is so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The status.
    pub status: ConnectorStatus,
    /// Since when this side knows it, by arrival: a charger's clock orders nothing.
    pub since: Timestamp,
    /// The charger's error code, when it is not `NoError`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The charger's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<String>,
    /// The maker's error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor_error_code: Option<String>,
}

/// What a charger says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hardware {
    /// Maker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// Firmware version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware_version: Option<String>,
}

/// Where a station stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// Degrees north, -90 to 90.
    pub latitude: f64,
    /// Degrees east, -180 to 180.
    pub longitude: f64,
    /// In words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A part of a station, or all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The station.
    Station,
    /// One of its EVSEs.
    Evse(EvseNo),
    /// One of its connectors.
    Connector(EvseNo, ConnectorNo),
}

/// A connection's claim to speak for a station. It holds until a newer connection takes the
/// station over, or the station is taken offline: whoever still speaks then is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The station.
    pub station_id: StationId,
    /// The connection's epoch.
    pub epoch: i64,
}

/// A decision: what the station is now, and what happened on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// The new station.
    pub station: Station,
    /// What changed. Empty when nothing did, and then nothing needs to be written.
    pub events: Vec<NewEvent>,
}

/// Why something cannot be done to a station.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StationError {
    /// There is no such EVSE.
    #[error("the station has no such EVSE")]
    NoSuchEvse,
    /// There is no such connector.
    #[error("the EVSE has no such connector")]
    NoSuchConnector,
    /// The number is taken.
    #[error("the number is already in use")]
    NumberTaken,
    /// The station is full.
    #[error("a station has at most {MAX_EVSES} EVSEs of {MAX_CONNECTORS} connectors")]
    Full,
    /// A connected charger speaks for the station.
    #[error("a connected charger reports this station's state")]
    ChargerOwnsState,
    /// The connection no longer speaks for the station: a newer one does, or none.
    #[error("the connection no longer speaks for the station")]
    Superseded,
}

impl Station {
    /// A station as it is entered: nothing known of its state yet. Refused when its parts claim
    /// the same number twice, or are too many.
    pub fn register(
        spec: StationSpec,
        version: i64,
        now: Timestamp,
    ) -> Result<Decided, StationError> {
        let cause = Cause::whole(Level::Station, Reason::NoParts);
        let mut station = Self {
            id: spec.id,
            name: spec.name,
            location: spec.location,
            version,
            reporting: Reporting::Manual,
            operator: Availability::Operative,
            online: false,
            epoch: version,
            held_by: None,
            protocol: None,
            last_seen: None,
            booted: false,
            hardware: Hardware::default(),
            reported: None,
            security_profile: None,
            status: StationStatus::Unknown,
            status_since: now,
            status_cause: cause,
            evses: Vec::new(),
            created_at: now,
            updated_at: now,
        };
        let created = EventKind::StationCreated {
            name: station.name.clone(),
        };
        let mut events = vec![station.event(Place::Station, created, now)];
        for evse in spec.evses {
            station.push_evse(evse, &mut events, now)?;
        }
        Ok(station.settle(events, now))
    }

    /// Changes what people may change. `None` leaves a thing as it is.
    pub fn update(
        mut self,
        name: Option<String>,
        location: Option<Option<Location>>,
        now: Timestamp,
    ) -> Decided {
        let name = name.unwrap_or_else(|| self.name.clone());
        let location = location.unwrap_or_else(|| self.location.clone());
        let mut events = Vec::new();
        if name != self.name || location != self.location {
            self.name = name;
            self.location = location;
            let kind = EventKind::StationUpdated {
                name: self.name.clone(),
                location: self.location.clone(),
            };
            events.push(self.event(Place::Station, kind, now));
        }
        self.settle(events, now)
    }

    /// Takes down the operator's decision about the station or a part of it.
    pub fn set_availability(
        mut self,
        place: Place,
        availability: Availability,
        now: Timestamp,
    ) -> Result<Decided, StationError> {
        let decision = match place {
            Place::Station => &mut self.operator,
            Place::Evse(evse) => &mut self.evse_mut(evse)?.operator,
            Place::Connector(evse, connector) => &mut self.connector_mut(evse, connector)?.operator,
        };
        let mut events = Vec::new();
        if *decision != availability {
            *decision = availability;
            events.push(self.event(place, EventKind::AvailabilityChanged { availability }, now));
        }
        Ok(self.settle(events, now))
    }

    /// Notes which security profile its charger's new credentials belong to.
    pub fn set_security_profile(mut self, security_profile: u8, now: Timestamp) -> Decided {
        self.security_profile = Some(security_profile);
        let kind = EventKind::CredentialsChanged { security_profile };
        let events = vec![self.event(Place::Station, kind, now)];
        self.settle(events, now)
    }

    /// Refuses a connection that no longer speaks for the station.
    pub fn check(&self, hold: &Hold) -> Result<(), StationError> {
        if self.online && self.epoch == hold.epoch {
            return Ok(());
        }
        Err(StationError::Superseded)
    }

    /// How many connectors have each derived status.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.connectors()
            .for_each(|connector| counts.add(connector.status));
        counts
    }

    /// True when the station can be used though not all of it works.
    pub fn degraded(&self) -> bool {
        status::degraded(self.status, &self.counts())
    }

    /// True when a charger speaks for it and has no live connection.
    pub fn offline(&self) -> bool {
        self.reporting == Reporting::Charger && !self.online
    }

    /// Its connectors, over all EVSEs.
    pub fn connectors(&self) -> impl Iterator<Item = &Connector> {
        self.evses.iter().flat_map(|evse| &evse.connectors)
    }

    /// One of its EVSEs.
    pub fn evse(&self, number: EvseNo) -> Option<&Evse> {
        self.evses.iter().find(|evse| evse.number == number)
    }

    /// One of its connectors.
    pub fn connector(&self, evse: EvseNo, connector: ConnectorNo) -> Option<&Connector> {
        self.evse(evse)?
            .connectors
            .iter()
            .find(|c| c.number == connector)
    }

    /// The parts that the operator took out of use, the largest first.
    pub fn taken_out(&self) -> Vec<Place> {
        let out = |operator: Availability| operator == Availability::Inoperative;
        if out(self.operator) {
            return vec![Place::Station];
        }
        let mut places = Vec::new();
        for evse in &self.evses {
            if out(evse.operator) {
                places.push(Place::Evse(evse.number));
                continue;
            }
            let connectors = evse.connectors.iter().filter(|c| out(c.operator));
            places.extend(connectors.map(|c| Place::Connector(evse.number, c.number)));
        }
        places
    }

    /// An event about a part of this station.
    pub fn event(&self, place: Place, kind: EventKind, at: Timestamp) -> NewEvent {
        let (evse, connector) = match place {
            Place::Station => (None, None),
            Place::Evse(evse) => (Some(evse), None),
            Place::Connector(evse, connector) => (Some(evse), Some(connector)),
        };
        NewEvent {
            at,
            station_id: Some(self.id.clone()),
            evse,
            connector,
            kind,
        }
    }

    fn evse_mut(&mut self, number: EvseNo) -> Result<&mut Evse, StationError> {
        self.evses
            .iter_mut()
            .find(|e| e.number == number)
            .ok_or(StationError::NoSuchEvse)
    }

    fn connector_mut(
        &mut self,
        evse: EvseNo,
        connector: ConnectorNo,
    ) -> Result<&mut Connector, StationError> {
        let connectors = &mut self.evse_mut(evse)?.connectors;
        connectors
            .iter_mut()
            .find(|c| c.number == connector)
            .ok_or(StationError::NoSuchConnector)
    }

    /// Derives every level anew from the one below. What changed keeps the time, and is told.
    fn settle(mut self, mut events: Vec<NewEvent>, now: Timestamp) -> Decided {
        let whole = self.operator == Availability::Inoperative;
        for evse in &mut self.evses {
            let taken_out = match (whole, evse.operator) {
                (true, _) => Some(Level::Station),
                (false, Availability::Inoperative) => Some(Level::Evse),
                (false, Availability::Operative) => None,
            };
            for connector in &mut evse.connectors {
                connector.settle(&self.id, evse.number, taken_out, &mut events, now);
            }
            evse.settle(&self.id, &mut events, now);
        }
        let facts = StationFacts {
            offline: self.offline(),
            reported: self.reported.as_ref().map(|report| report.status),
        };
        let parts = self
            .evses
            .iter()
            .map(|e| (e.number, e.status, e.status_cause));
        let (to, cause) = status::of_station(facts, parts);
        self.status_cause = cause;
        if to != self.status {
            let kind = EventKind::StationStatusChanged {
                from: self.status,
                to,
                cause,
            };
            events.push(self.event(Place::Station, kind, now));
            (self.status, self.status_since) = (to, now);
        }
        if !events.is_empty() {
            self.version += 1;
            self.updated_at = now;
        }
        Decided {
            station: self,
            events,
        }
    }
}

impl Evse {
    fn settle(&mut self, station: &StationId, events: &mut Vec<NewEvent>, now: Timestamp) {
        let parts = self
            .connectors
            .iter()
            .map(|c| (c.number, c.status, c.status_cause));
        let (to, cause) = status::of_evse(self.number, parts);
        self.status_cause = cause;
        if to != self.status {
            let kind = EventKind::EvseStatusChanged {
                from: self.status,
                to,
                cause,
            };
            let station_id = Some(station.clone());
            let evse = Some(self.number);
            events.push(NewEvent {
                at: now,
                station_id,
                evse,
                connector: None,
                kind,
            });
            (self.status, self.status_since) = (to, now);
        }
    }
}

impl Connector {
    /// Derives its status. A change is told once: by the report that caused it, when one did.
    fn settle(
        &mut self,
        station: &StationId,
        evse: EvseNo,
        taken_out: Option<Level>,
        events: &mut Vec<NewEvent>,
        now: Timestamp,
    ) {
        let taken_out = taken_out
            .or_else(|| (self.operator == Availability::Inoperative).then_some(Level::Connector));
        let facts = ConnectorFacts {
            number: self.number,
            reported: self.reported.status,
            taken_out,
        };
        let (to, cause) = status::of_connector(evse, facts);
        let from = std::mem::replace(&mut self.status, to);
        self.status_cause = cause;
        if from != to {
            self.status_since = now;
        }
        let told = events.iter_mut().find_map(|event| match &mut event.kind {
            EventKind::ConnectorStatusChanged { from: f, to: t, .. }
                if event.evse == Some(evse) && event.connector == Some(self.number) =>
            {
                Some((f, t))
            }
            _ => None,
        });
        if let Some((f, t)) = told {
            (*f, *t) = (from, to);
        } else if from != to {
            events.push(NewEvent {
                at: now,
                station_id: Some(station.clone()),
                evse: Some(evse),
                connector: Some(self.number),
                kind: EventKind::ConnectorStatusChanged {
                    from,
                    to,
                    reported: self.reported.status,
                    error_code: self.reported.error_code.clone(),
                    info: self.reported.info.clone(),
                },
            });
        }
    }
}
