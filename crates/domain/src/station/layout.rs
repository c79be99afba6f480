//! What a station is made of: adding and removing EVSEs and connectors.

use jiff::Timestamp;

use super::{Connector, Decided, Evse, Location, Place, Report, Station, StationError};
use crate::event::{EventKind, NewEvent};
use crate::id::{ConnectorNo, EvseNo, MAX_CONNECTORS, MAX_EVSES, StationId};
use crate::status::{Availability, Cause, ConnectorStatus, Level, Reason, Status};
use crate::units::Watts;

/// What a new station is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct StationSpec {
    /// Its network identity.
    pub id: StationId,
    /// What people call it.
    pub name: String,
    /// Where it stands.
    pub location: Option<Location>,
    /// Its EVSEs. [`EvseSpec::simple`] is the simple case.
    pub evses: Vec<EvseSpec>,
}

/// What a new EVSE is to be. Without a number it gets the lowest free one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EvseSpec {
    /// Its number.
    pub number: Option<EvseNo>,
    /// Its connectors.
    pub connectors: Vec<ConnectorSpec>,
}

/// What a new connector is to be. Without a number it gets the lowest free one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectorSpec {
    /// Its number.
    pub number: Option<ConnectorNo>,
    /// Its kind.
    pub kind: Option<String>,
    /// The most it can deliver.
    pub max_power: Option<Watts>,
}

impl EvseSpec {
    /// The simple case: one EVSE with one connector.
    pub fn simple() -> Self {
        Self {
            number: None,
            connectors: vec![ConnectorSpec::default()],
        }
    }
}

impl Station {
    /// Adds an EVSE with its connectors, and tells its number.
    pub fn add_evse(
        mut self,
        spec: EvseSpec,
        now: Timestamp,
    ) -> Result<(Decided, EvseNo), StationError> {
        let mut events = Vec::new();
        let number = self.push_evse(spec, &mut events, now)?;
        Ok((self.settle(events, now), number))
    }

    /// Removes an EVSE with its connectors.
    pub fn remove_evse(mut self, number: EvseNo, now: Timestamp) -> Result<Decided, StationError> {
        let evse = self.evse(number).ok_or(StationError::NoSuchEvse)?;
        let mut events: Vec<_> = evse
            .connectors
            .iter()
            .map(|connector| Place::Connector(number, connector.number))
            .map(|place| self.event(place, EventKind::ConnectorDeleted {}, now))
            .collect();
        events.push(self.event(Place::Evse(number), EventKind::EvseDeleted {}, now));
        self.evses.retain(|evse| evse.number != number);
        Ok(self.settle(events, now))
    }

    /// Adds a connector to an EVSE, and tells its number.
    pub fn add_connector(
        mut self,
        evse: EvseNo,
        spec: ConnectorSpec,
        now: Timestamp,
    ) -> Result<(Decided, ConnectorNo), StationError> {
        let mut events = Vec::new();
        let number = self.push_connector(evse, spec, &mut events, now)?;
        Ok((self.settle(events, now), number))
    }

    /// Changes what people may change about a connector. `None` leaves a thing as it is.
    pub fn update_connector(
        mut self,
        evse: EvseNo,
        number: ConnectorNo,
        kind: Option<Option<String>>,
        max_power: Option<Option<Watts>>,
        now: Timestamp,
    ) -> Result<Decided, StationError> {
        let connector = self.connector_mut(evse, number)?;
        let kind = kind.unwrap_or_else(|| connector.kind.clone());
        let max_power = max_power.unwrap_or(connector.max_power);
        let mut events = Vec::new();
        if kind != connector.kind || max_power != connector.max_power {
            (connector.kind, connector.max_power) = (kind, max_power);
            let place = Place::Connector(evse, number);
            events.push(self.event(place, EventKind::ConnectorUpdated {}, now));
        }
        Ok(self.settle(events, now))
    }

    /// Removes a connector.
    pub fn remove_connector(
        mut self,
        evse: EvseNo,
        number: ConnectorNo,
        now: Timestamp,
    ) -> Result<Decided, StationError> {
        self.connector_mut(evse, number)?;
        self.evse_mut(evse)?
            .connectors
            .retain(|c| c.number != number);
        let place = Place::Connector(evse, number);
        let events = vec![self.event(place, EventKind::ConnectorDeleted {}, now)];
        Ok(self.settle(events, now))
    }

    /// What is to be told when the station is deleted: of its parts first.
    pub fn removal(&self, now: Timestamp) -> Vec<NewEvent> {
        let mut events = Vec::new();
        for evse in &self.evses {
            for connector in &evse.connectors {
                let place = Place::Connector(evse.number, connector.number);
                events.push(self.event(place, EventKind::ConnectorDeleted {}, now));
            }
            events.push(self.event(Place::Evse(evse.number), EventKind::EvseDeleted {}, now));
        }
        events.push(self.event(Place::Station, EventKind::StationDeleted {}, now));
        events
    }

    /// Puts in an EVSE with its connectors, one after the other.
    pub(super) fn push_evse(
        &mut self,
        spec: EvseSpec,
        events: &mut Vec<NewEvent>,
        now: Timestamp,
    ) -> Result<EvseNo, StationError> {
        let mut numbers = (1..=i64::from(MAX_EVSES)).filter_map(|n| EvseNo::try_from(n).ok());
        let free = numbers.find(|n| self.evse(*n).is_none());
        let number = spec.number.or(free).ok_or(StationError::Full)?;
        if self.evse(number).is_some() {
            return Err(StationError::NumberTaken);
        }
        events.push(self.event(Place::Evse(number), EventKind::EvseCreated {}, now));
        let at = self.evses.partition_point(|evse| evse.number < number);
        self.evses.insert(
            at,
            Evse {
                number,
                operator: Availability::Operative,
                status: Status::Unknown,
                status_since: now,
                status_cause: Cause {
                    level: Level::Evse,
                    evse: Some(number),
                    connector: None,
                    reason: Reason::NoParts,
                },
                connectors: Vec::new(),
            },
        );
        for spec in spec.connectors {
            self.push_connector(number, spec, events, now)?;
        }
        Ok(number)
    }

    /// Puts in a connector.
    pub(super) fn push_connector(
        &mut self,
        evse: EvseNo,
        spec: ConnectorSpec,
        events: &mut Vec<NewEvent>,
        now: Timestamp,
    ) -> Result<ConnectorNo, StationError> {
        let connectors = &mut self.evse_mut(evse)?.connectors;
        let taken = |n| connectors.iter().any(|c| c.number == n);
        let mut numbers =
            (1..=i64::from(MAX_CONNECTORS)).filter_map(|n| ConnectorNo::try_from(n).ok());
        let free = numbers.find(|n| !taken(*n));
        let number = spec.number.or(free).ok_or(StationError::Full)?;
        if taken(number) {
            return Err(StationError::NumberTaken);
        }
        let at = connectors.partition_point(|c| c.number < number);
        connectors.insert(
            at,
            Connector {
                number,
                operator: Availability::Operative,
                reported: Report {
                    status: ConnectorStatus::Unknown,
                    since: now,
                    error_code: None,
                    info: None,
                    vendor_error_code: None,
                },
                status: Status::Unknown,
                status_since: now,
                status_cause: Cause {
                    level: Level::Connector,
                    evse: Some(evse),
                    connector: Some(number),
                    reason: Reason::NeverReported,
                },
                kind: spec.kind,
                max_power: spec.max_power,
                register: None,
            },
        );
        let place = Place::Connector(evse, number);
        events.push(self.event(place, EventKind::ConnectorCreated {}, now));
        Ok(number)
    }
}
