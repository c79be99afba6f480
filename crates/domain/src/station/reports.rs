//! What chargers, and people in their place, tell about a station.

use jiff::Timestamp;

use super::layout::{ConnectorSpec, EvseSpec};
use super::{Decided, Hardware, Place, Report, Reporting, Station, StationError};
use crate::event::{EventKind, NewEvent};
use crate::id::{ConnectorNo, EvseNo, NodeId};
use crate::status::Status;
use crate::units::WattHours;

/// Who reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The charger itself. It knows its parts: those not entered yet are added.
    Charger,
    /// A person. Refused while a charger speaks for the station.
    Person,
}

impl Station {
    /// A charger opened a connection to a node: it speaks for the station from now on.
    ///
    /// The new epoch outdates every earlier connection of the station at once, to whatever node.
    pub fn connected(mut self, protocol: &str, node: NodeId, now: Timestamp) -> Decided {
        self.online = true;
        self.reporting = Reporting::Charger;
        self.epoch += 1;
        self.held_by = Some(node);
        self.protocol = Some(protocol.to_owned());
        self.last_seen = Some(now);
        let kind = EventKind::StationConnected {
            epoch: self.epoch,
            protocol: protocol.to_owned(),
        };
        let events = vec![self.event(Place::Station, kind, now)];
        self.settle(events, now)
    }

    /// A connection is gone. Changes nothing when it was not the latest one: the close of an old
    /// socket must not take the new one's station offline.
    pub fn disconnected(
        mut self,
        epoch: i64,
        reason: &str,
        last_seen: Option<Timestamp>,
        now: Timestamp,
    ) -> Decided {
        if !self.online || self.epoch != epoch {
            return Decided {
                station: self,
                events: Vec::new(),
            };
        }
        self.online = false;
        self.held_by = None;
        self.last_seen = self.last_seen.max(last_seen);
        let kind = EventKind::StationDisconnected {
            epoch,
            reason: reason.to_owned(),
        };
        let events = vec![self.event(Place::Station, kind, now)];
        self.settle(events, now)
    }

    /// The charger booted and said what it is. Told again unchanged, it is told as an event still:
    /// a reboot is worth knowing.
    pub fn boot(mut self, hardware: Hardware, now: Timestamp) -> Decided {
        self.hardware = hardware;
        self.booted = true;
        let kind = EventKind::StationBooted {
            hardware: self.hardware.clone(),
        };
        let events = vec![self.event(Place::Station, kind, now)];
        self.settle(events, now)
    }

    /// A status was reported. [`Place::Evse`] stands for all its connectors, and so does
    /// [`Place::Station`] when a person reports; a charger that reports of the station means the
    /// station alone (connector 0, OCPP 1.6 §4.9).
    pub fn report(
        mut self,
        place: Place,
        report: &Report,
        source: Source,
        now: Timestamp,
    ) -> Result<Decided, StationError> {
        let mut events = Vec::new();
        match source {
            Source::Person if self.online => return Err(StationError::ChargerOwnsState),
            Source::Person => {}
            Source::Charger => self.make_room(place, &mut events, now)?,
        }
        let places: Vec<Place> = match place {
            Place::Station if source == Source::Charger => {
                self.report_whole(report, &mut events, now);
                Vec::new()
            }
            Place::Connector(evse, connector) => {
                self.connector_mut(evse, connector)?;
                vec![place]
            }
            Place::Evse(evse) => {
                let evse = self.evse(evse).ok_or(StationError::NoSuchEvse)?;
                evse.connectors
                    .iter()
                    .map(|c| Place::Connector(evse.number, c.number))
                    .collect()
            }
            Place::Station => self
                .evses
                .iter()
                .flat_map(|e| {
                    e.connectors
                        .iter()
                        .map(|c| Place::Connector(e.number, c.number))
                })
                .collect(),
        };
        for place in places {
            if let Place::Connector(evse, connector) = place {
                self.report_connector(evse, connector, report, &mut events, now);
            }
        }
        Ok(self.settle(events, now))
    }

    /// Takes down a reading of a connector's energy register. Not worth an event of its own, and
    /// not worth a version: it only ever backs the plausibility of a later session.
    #[must_use]
    pub fn read_register(
        mut self,
        evse: EvseNo,
        connector: ConnectorNo,
        reading: WattHours,
    ) -> Self {
        if let Ok(connector) = self.connector_mut(evse, connector) {
            connector.register = Some(reading);
        }
        self
    }

    /// Adds the parts a charger speaks of that nobody has entered. Their numbers are in bounds by
    /// their type, so there is room.
    fn make_room(
        &mut self,
        place: Place,
        events: &mut Vec<NewEvent>,
        now: Timestamp,
    ) -> Result<(), StationError> {
        let (evse, connector) = match place {
            Place::Station => return Ok(()),
            Place::Evse(evse) => (evse, ConnectorNo::ONE),
            Place::Connector(evse, connector) => (evse, connector),
        };
        if self.evse(evse).is_none() {
            let spec = EvseSpec {
                number: Some(evse),
                connectors: Vec::new(),
            };
            self.push_evse(spec, events, now)?;
        }
        if self.connector(evse, connector).is_none() {
            let spec = ConnectorSpec {
                number: Some(connector),
                ..ConnectorSpec::default()
            };
            self.push_connector(evse, spec, events, now)?;
        }
        Ok(())
    }

    fn report_whole(&mut self, report: &Report, events: &mut Vec<NewEvent>, now: Timestamp) {
        self.reported = match &self.reported {
            Some(old) if old.same(report) => return,
            Some(old) => Some(report.following(old)),
            None => Some(report.clone()),
        };
        let kind = EventKind::StationReported {
            reported: report.status,
            error_code: report.error_code.clone(),
            info: report.info.clone(),
        };
        events.push(self.event(Place::Station, kind, now));
    }

    fn report_connector(
        &mut self,
        evse: EvseNo,
        number: ConnectorNo,
        report: &Report,
        events: &mut Vec<NewEvent>,
        now: Timestamp,
    ) {
        let Ok(connector) = self.connector_mut(evse, number) else {
            return;
        };
        if connector.reported.same(report) {
            return;
        }
        connector.reported = report.following(&connector.reported);
        // The derived status is filled in when the station settles.
        let kind = EventKind::ConnectorStatusChanged {
            from: Status::Unknown,
            to: Status::Unknown,
            reported: report.status,
            error_code: report.error_code.clone(),
            info: report.info.clone(),
        };
        events.push(self.event(Place::Connector(evse, number), kind, now));
    }
}

impl Report {
    /// True when it tells nothing new, whenever it was told.
    fn same(&self, other: &Self) -> bool {
        self.status == other.status
            && self.error_code == other.error_code
            && self.info == other.info
            && self.vendor_error_code == other.vendor_error_code
    }

    /// This report after an earlier one: the same status goes on, whatever else is new.
    fn following(&self, old: &Self) -> Self {
        let goes_on = self.status == old.status;
        Self {
            since: if goes_on { old.since } else { self.since },
            ..self.clone()
        }
    }
}
