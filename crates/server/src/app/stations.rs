//! Stations, their EVSEs and connectors: entered, changed, reported of, removed.

use std::sync::Arc;

use domain::station::{
    ConnectorSpec, EvseSpec, Hardware, Location, Place, Report, Source, StationSpec,
};
use domain::{
    Availability, Command, ConnectorNo, Decided, EventKind, EvseNo, Hold, Station, StationId, Watts,
};
use jiff::Timestamp;
use store::{Commit, Credentials, StationFilter, StationWrite, StoreError};

use super::{App, AppError, Conflict, MAX_ROUNDS, Once, contended, gone};
use crate::gateway::fleet::Handshake;
use crate::gateway::passwords::Made;

/// Why a charger is disconnected whose node is gone, as the event tells it.
pub const NODE_LOST: &str = "node lost";

/// What is to be entered.
#[derive(Clone, Debug)]
pub struct NewStation {
    /// Its network identity; without one, made from the name.
    pub id: Option<StationId>,
    /// What people call it.
    pub name: String,
    /// Where it stands.
    pub location: Option<Location>,
    /// Its EVSEs.
    pub evses: Vec<EvseSpec>,
}

/// What is to change about a station. `None` leaves a thing as it is.
#[derive(Clone, Debug, Default)]
pub struct StationPatch {
    /// Its name.
    pub name: Option<String>,
    /// Its location; the inner `None` removes it.
    pub location: Option<Option<Location>>,
}

/// What is to change about a connector. `None` leaves a thing as it is.
#[derive(Clone, Debug, Default)]
pub struct ConnectorPatch {
    /// Its kind; the inner `None` removes it.
    pub kind: Option<Option<String>>,
    /// Its power; the inner `None` removes it.
    pub max_power: Option<Option<Watts>>,
}

/// A connection that was taken down.
#[derive(Clone, Debug)]
pub struct Connected {
    /// Its claim to speak for the station.
    pub hold: Hold,
    /// Whether the charger's boot was accepted at some time before.
    pub booted: bool,
}

impl App {
    /// Enters a station.
    pub async fn create_station(
        &self,
        new: NewStation,
        once: Option<Once>,
    ) -> Result<Arc<Station>, AppError> {
        for round in 0..MAX_ROUNDS {
            if let Some(id) = self.recall(once.as_ref()).await? {
                let id = StationId::new(&id).map_err(|_| gone())?;
                return self.station(&id).await?.ok_or_else(gone);
            }
            let id = match &new.id {
                Some(id) => id.clone(),
                None => self.station_id_for(&new.name, round)?,
            };
            let _turn = self.turn(&id).await?;
            let spec = StationSpec {
                id: id.clone(),
                name: new.name.clone(),
                location: new.location.clone(),
                evses: new.evses.clone(),
            };
            // Above every version the id can have had before: see the domain's `version`.
            let version = self.store.last_seq().await?;
            let decided = Station::register(spec, version, self.clock.now())?;
            let station = Arc::new(decided.station);
            let commit = Commit {
                station: Some(StationWrite::Insert(Station::clone(&station))),
                idempotency: self.remember(once.as_ref(), id.to_string()),
                events: decided.events,
                ..Commit::default()
            };
            match self.store.commit(commit).await {
                Ok(_) => {
                    self.cache.committed(&station).await;
                    return Ok(station);
                }
                Err(StoreError::Conflict) => {
                    let taken = self.store.station(&id).await?.is_some();
                    if taken && new.id.is_some() && self.recall(once.as_ref()).await?.is_none() {
                        return Err(AppError::Conflict(Conflict::StationTaken(id)));
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(contended("create station"))
    }

    /// Reads a station, from the cache when it is there.
    pub async fn station(&self, id: &StationId) -> Result<Option<Arc<Station>>, AppError> {
        if let Some(known) = self.cache.read(id).await {
            return Ok(known);
        }
        let Some(station) = self.store.station(id).await?.map(Arc::new) else {
            return Ok(None);
        };
        self.cache.fill(&station).await;
        Ok(Some(station))
    }

    /// When a station's charger was last heard. What came a moment ago is known to its connection;
    /// the record follows later.
    pub fn last_seen(&self, station: &Station) -> Option<Timestamp> {
        self.fleet.last_seen(&station.id).max(station.last_seen)
    }

    /// Lists stations by id.
    pub async fn stations(
        &self,
        filter: &StationFilter,
        limit: u32,
    ) -> Result<Vec<Station>, AppError> {
        Ok(self.store.stations(filter, limit).await?)
    }

    /// Changes what people may change about a station.
    pub async fn update_station(
        &self,
        id: &StationId,
        patch: StationPatch,
        if_match: Option<i64>,
    ) -> Result<Arc<Station>, AppError> {
        self.change(id, if_match, |station, now| {
            Ok(station.update(patch.name.clone(), patch.location.clone(), now))
        })
        .await
    }

    /// Removes a station with its EVSEs and connectors, and closes its charger's connection.
    pub async fn delete_station(
        &self,
        id: &StationId,
        if_match: Option<i64>,
    ) -> Result<(), AppError> {
        let _turn = self.turn(id).await?;
        for round in 0..MAX_ROUNDS {
            let station = self.load(id).await?;
            if let Err(error) = check_version(&station, if_match) {
                if round == 0 && self.cache.is_shared() {
                    self.cache.forget(id);
                    continue;
                }
                return Err(error);
            }
            let expected = station.version;
            let events = station.removal(self.clock.now());
            let write = StationWrite::Delete {
                id: id.clone(),
                expected,
            };
            let commit = Commit {
                station: Some(write),
                events,
                ..Commit::default()
            };
            self.cache.changing(&station);
            match self.store.commit(commit).await {
                Ok(_) => {
                    self.cache.deleted(id, expected + 1).await;
                    self.passwords.forget(id);
                    self.fleet.revoke(id);
                    return Ok(());
                }
                Err(error) => {
                    self.not_committed(id, &error);
                    conflict_or(error)?;
                }
            }
        }
        Err(contended("delete station"))
    }

    /// Takes down the operator's decision about a station or a part of it.
    pub async fn set_availability(
        &self,
        id: &StationId,
        place: Place,
        availability: Availability,
        if_match: Option<i64>,
    ) -> Result<Arc<Station>, AppError> {
        let station = self
            .change(id, if_match, |station, now| {
                Ok(station.set_availability(place, availability, now)?)
            })
            .await?;
        if station.online {
            self.tell_availability(id, place, availability).await;
        }
        Ok(station)
    }

    /// Asks the charger to keep to the operator's decision. The decision holds either way.
    async fn tell_availability(&self, id: &StationId, place: Place, availability: Availability) {
        let (evse, connector) = match place {
            Place::Station => (None, None),
            Place::Evse(evse) => (Some(evse), None),
            Place::Connector(evse, connector) => (Some(evse), Some(connector)),
        };
        let command = Command::ChangeAvailability {
            evse,
            connector,
            availability,
        };
        if let Err(error) = self.order(id, command, None, false).await {
            tracing::info!(station.id = %id, %error, "charger not told of the availability");
        }
    }

    /// Takes down a status that a person reports.
    pub async fn report_by_hand(
        &self,
        id: &StationId,
        place: Place,
        report: Report,
        if_match: Option<i64>,
    ) -> Result<Arc<Station>, AppError> {
        self.change(id, if_match, |station, now| {
            Ok(station.report(place, &report, Source::Person, now)?)
        })
        .await
    }

    /// Sets what a station's charger must present. A connection that stands stays.
    pub async fn set_credentials(
        &self,
        id: &StationId,
        hash: String,
        security_profile: u8,
    ) -> Result<(), AppError> {
        self.keep_credentials(id, hash, security_profile, None)
            .await
    }

    /// Makes what a station's charger must present, and tells it: it is known only now, and a
    /// repeated request gets none.
    pub async fn make_credentials(
        &self,
        id: &StationId,
        security_profile: u8,
        once: Option<Once>,
    ) -> Result<Option<String>, AppError> {
        if self.recall(once.as_ref()).await?.is_some() {
            return Ok(None);
        }
        let made =
            Made::new().map_err(|error| AppError::Internal(format!("no randomness: {error}")))?;
        self.keep_credentials(id, made.hash, security_profile, once.as_ref())
            .await?;
        Ok(Some(made.password))
    }

    async fn keep_credentials(
        &self,
        id: &StationId,
        hash: String,
        security_profile: u8,
        once: Option<&Once>,
    ) -> Result<(), AppError> {
        let updated_at = self.clock.now();
        let credentials = Credentials {
            station_id: id.clone(),
            hash,
            updated_at,
        };
        self.change_with(id, None, |station, now| {
            let decided = station.set_security_profile(security_profile, now);
            Ok((
                decided,
                Commit {
                    credentials: Some(credentials.clone()),
                    idempotency: self.remember(once, id.to_string()),
                    ..Commit::default()
                },
            ))
        })
        .await?;
        self.passwords.forget(id);
        Ok(())
    }

    /// Adds an EVSE, and tells its number.
    pub async fn add_evse(
        &self,
        id: &StationId,
        spec: EvseSpec,
        once: Option<Once>,
    ) -> Result<(Arc<Station>, EvseNo), AppError> {
        let recalled = self.recall(once.as_ref()).await?;
        if let Some(number) = recalled.as_deref().and_then(number) {
            let station = self.station(id).await?.ok_or_else(gone)?;
            return station
                .evse(number)
                .map(|_| (station.clone(), number))
                .ok_or_else(gone);
        }
        let mut added = EvseNo::ONE;
        let station = self
            .change_with(id, None, |station, now| {
                let (decided, number) = station.add_evse(spec.clone(), now)?;
                added = number;
                let idempotency = self.remember(once.as_ref(), number.to_string());
                Ok((
                    decided,
                    Commit {
                        idempotency,
                        ..Commit::default()
                    },
                ))
            })
            .await?;
        Ok((station, added))
    }

    /// Removes an EVSE.
    pub async fn remove_evse(
        &self,
        id: &StationId,
        number: EvseNo,
        if_match: Option<i64>,
    ) -> Result<(), AppError> {
        self.change(id, if_match, |station, now| {
            Ok(station.remove_evse(number, now)?)
        })
        .await?;
        Ok(())
    }

    /// Adds a connector, and tells its number.
    pub async fn add_connector(
        &self,
        id: &StationId,
        evse: EvseNo,
        spec: ConnectorSpec,
        once: Option<Once>,
    ) -> Result<(Arc<Station>, ConnectorNo), AppError> {
        let recalled = self.recall(once.as_ref()).await?;
        if let Some(number) = recalled.as_deref().and_then(number) {
            let station = self.station(id).await?.ok_or_else(gone)?;
            let there = station.connector(evse, number).is_some();
            return if there {
                Ok((station, number))
            } else {
                Err(gone())
            };
        }
        let mut added = ConnectorNo::ONE;
        let station = self
            .change_with(id, None, |station, now| {
                let (decided, number) = station.add_connector(evse, spec.clone(), now)?;
                added = number;
                let idempotency = self.remember(once.as_ref(), number.to_string());
                Ok((
                    decided,
                    Commit {
                        idempotency,
                        ..Commit::default()
                    },
                ))
            })
            .await?;
        Ok((station, added))
    }

    /// Changes what people may change about a connector.
    pub async fn update_connector(
        &self,
        id: &StationId,
        evse: EvseNo,
        number: ConnectorNo,
        patch: ConnectorPatch,
        if_match: Option<i64>,
    ) -> Result<Arc<Station>, AppError> {
        self.change(id, if_match, |station, now| {
            let ConnectorPatch { kind, max_power } = patch.clone();
            Ok(station.update_connector(evse, number, kind, max_power, now)?)
        })
        .await
    }

    /// Removes a connector.
    pub async fn remove_connector(
        &self,
        id: &StationId,
        evse: EvseNo,
        number: ConnectorNo,
        if_match: Option<i64>,
    ) -> Result<(), AppError> {
        self.change(id, if_match, |station, now| {
            Ok(station.remove_connector(evse, number, now)?)
        })
        .await?;
        Ok(())
    }

    /// A charger opened a connection. Refused when it has shaken hands again since: decided in the
    /// station's turn, so that on this node epochs follow the order of the handshakes.
    pub async fn charger_connected(
        &self,
        id: &StationId,
        handshake: Handshake,
        protocol: &str,
    ) -> Result<Connected, AppError> {
        let node = self.cluster.node;
        let decide = |station: Station, now| {
            if self.fleet.is_latest(id, handshake) {
                Ok(station.connected(protocol, node, now))
            } else {
                Err(AppError::Superseded)
            }
        };
        let station = self.change(id, None, decide).await?;
        let hold = Hold {
            station_id: id.clone(),
            epoch: station.epoch,
        };
        Ok(Connected {
            hold,
            booted: station.booted,
        })
    }

    /// A charger's connection is gone. Nothing happens when it was not the latest, or when the
    /// station is gone too.
    pub async fn charger_disconnected(
        &self,
        hold: &Hold,
        reason: &str,
        last_seen: Option<Timestamp>,
    ) -> Result<(), AppError> {
        let decide =
            |station: Station, now| Ok(station.disconnected(hold.epoch, reason, last_seen, now));
        match self.change(&hold.station_id, None, decide).await {
            Ok(_) | Err(AppError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A charger booted.
    pub async fn charger_booted(
        &self,
        hold: &Hold,
        hardware: Hardware,
    ) -> Result<Arc<Station>, AppError> {
        let decide = |station: Station, now| Ok(station.boot(hardware.clone(), now));
        let station = self.change_held(hold, decide).await?;
        // A charger may have forgotten, or was never told while it was away.
        for place in station.taken_out() {
            self.tell_availability(&station.id, place, Availability::Inoperative)
                .await;
        }
        Ok(station)
    }

    /// A charger reported a status.
    pub async fn charger_reported(
        &self,
        hold: &Hold,
        place: Place,
        report: Report,
    ) -> Result<Arc<Station>, AppError> {
        self.change_held(hold, |station, now| {
            Ok(station.report(place, &report, Source::Charger, now)?)
        })
        .await
    }

    /// A charger told something that changes nothing and belongs in its station's history.
    pub async fn charger_told(&self, hold: &Hold, kind: EventKind) -> Result<(), AppError> {
        let station = self.load(&hold.station_id).await?;
        let event = station.event(Place::Station, kind, self.clock.now());
        let mut commit = Commit::of_events(vec![event]);
        commit.hold = Some(hold.clone());
        match self.store.commit(commit).await {
            Ok(_) => Ok(()),
            Err(StoreError::Conflict) => Err(AppError::Superseded),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes stations offline whose chargers were connected to nodes that are gone, and tells how
    /// many there were.
    pub async fn sweep_connections(&self) -> Result<usize, AppError> {
        let (mut after, mut swept) = (None, 0);
        loop {
            let page = self.store.orphaned_stations(after.as_ref()).await?;
            let Some((last, _)) = page.last().cloned() else {
                return Ok(swept);
            };
            let sweeps = page.into_iter().map(|(station_id, epoch)| async move {
                let hold = Hold { station_id, epoch };
                self.charger_disconnected(&hold, NODE_LOST, None).await
            });
            for result in futures_util::future::join_all(sweeps).await {
                result?;
                swept += 1;
            }
            after = Some(last);
        }
    }

    /// Refuses a connection that no longer speaks for its station, as the database has it.
    pub(super) async fn check_hold(&self, hold: &Hold) -> Result<(), AppError> {
        let station = self.store.station(&hold.station_id).await?;
        let station = station.ok_or(AppError::NotFound("Station"))?;
        Ok(station.check(hold)?)
    }

    /// Changes a station in the name of a connection, as long as that speaks for it.
    async fn change_held(
        &self,
        hold: &Hold,
        decide: impl Fn(Station, Timestamp) -> Result<Decided, AppError>,
    ) -> Result<Arc<Station>, AppError> {
        self.change(&hold.station_id, None, |station, now| {
            station.check(hold)?;
            decide(station, now)
        })
        .await
    }

    /// Changes a station: loads, decides, saves, and begins anew when the ground shifted.
    pub(super) async fn change(
        &self,
        id: &StationId,
        if_match: Option<i64>,
        decide: impl Fn(Station, Timestamp) -> Result<Decided, AppError>,
    ) -> Result<Arc<Station>, AppError> {
        self.change_with(id, if_match, |station, now| {
            decide(station, now).map(|decided| (decided, Commit::default()))
        })
        .await
    }

    /// The same, with more to commit than the station.
    async fn change_with(
        &self,
        id: &StationId,
        if_match: Option<i64>,
        mut decide: impl FnMut(Station, Timestamp) -> Result<(Decided, Commit), AppError>,
    ) -> Result<Arc<Station>, AppError> {
        let _turn = self.turn(id).await?;
        for round in 0..MAX_ROUNDS {
            let station = self.load(id).await?;
            let expected = station.version;
            let decided = check_version(&station, if_match)
                .and_then(|()| decide(Station::clone(&station), self.clock.now()));
            let (decided, more) = match decided {
                Ok((decided, more)) if !decided.events.is_empty() => (decided, more),
                // Without a commit the store's guard does not tell whether the copy was old.
                _ if round == 0 && self.cache.is_shared() => {
                    self.cache.forget(id);
                    continue;
                }
                Ok(_) => return Ok(station),
                Err(error) => return Err(error),
            };
            let changed = Arc::new(decided.station);
            let request = more.idempotency.clone();
            let commit = Commit {
                station: Some(StationWrite::Update {
                    station: Station::clone(&changed),
                    expected,
                }),
                events: decided.events,
                ..more
            };
            self.cache.changing(&station);
            match self.store.commit(commit).await {
                Ok(_) => {
                    self.cache.committed(&changed).await;
                    return Ok(changed);
                }
                Err(error) => {
                    self.not_committed(id, &error);
                    conflict_or(error)?;
                }
            }
            if let Some(request) = request
                && self
                    .store
                    .idempotency(request.token_id, &request.key)
                    .await?
                    .is_some()
            {
                return Err(AppError::Conflict(Conflict::UnderWay));
            }
        }
        Err(contended("change station"))
    }

    /// A change was not committed: what is cached was old, or nobody knows. In doubt the station
    /// stays marked as changing, so that it is read from the database until it has changed.
    fn not_committed(&self, id: &StationId, error: &StoreError) {
        if !matches!(error, StoreError::InDoubt) {
            self.cache.forget(id);
        }
    }

    /// The station a decision starts from.
    pub(super) async fn load(&self, id: &StationId) -> Result<Arc<Station>, AppError> {
        if let Some(station) = self.cache.decide_from(id) {
            return Ok(station);
        }
        let station = self
            .store
            .station(id)
            .await?
            .ok_or(AppError::NotFound("Station"))?;
        let station = Arc::new(station);
        self.cache.fill(&station).await;
        Ok(station)
    }

    /// An id for a station that was entered with nothing but a name: the name itself, then with
    /// something random behind it.
    fn station_id_for(&self, name: &str, round: usize) -> Result<StationId, AppError> {
        let random = self.new_id().simple().to_string();
        let random = &random[random.len() - 8..];
        let id = match (StationId::from_name(name), round) {
            (Some(slug), 0) => return Ok(slug),
            (Some(slug), _) => format!("{slug}-{random}"),
            (None, _) => format!("station-{random}"),
        };
        StationId::new(&id).map_err(|error| AppError::Internal(error.to_string()))
    }
}

/// Lets a conflict pass, for another round.
fn conflict_or(error: StoreError) -> Result<(), AppError> {
    match error {
        StoreError::Conflict => Ok(()),
        error => Err(error.into()),
    }
}

fn check_version(station: &Station, if_match: Option<i64>) -> Result<(), AppError> {
    match if_match {
        Some(version) if version != station.version => Err(AppError::PreconditionFailed),
        _ => Ok(()),
    }
}

/// Reads a remembered number back.
fn number<N: TryFrom<i64>>(text: &str) -> Option<N> {
    N::try_from(text.parse().ok()?).ok()
}
