//! Charging as chargers tell of it: authorisation, begin, meter values, end.
//!
//! Nothing a charger tells of a transaction is refused here: it would try again a few times and
//! then drop the record, and the revenue with it. What does not fit is kept and flagged.

use std::sync::Arc;
use std::time::Duration;

use domain::session::{Limits, MeterRecord, Reading, Start, Stop};
use domain::token::{IdTagStatus, IdTagUid};
use domain::{
    ConnectorNo, EvseNo, Hold, NewEvent, Session, SessionId, Station, StationId, WattHours,
};
use jiff::Timestamp;
use moka::sync;
use store::{Commit, SessionWrite, StationWrite, StoreError};
use tokio::sync::Mutex;

use super::{App, AppError, MAX_ROUNDS, contended};

/// Transaction ids taken from the store at a time. Ids not handed out before a restart are lost,
/// which leaves gaps and does no harm: there are two thousand million.
const ID_BLOCK: i64 = 64;

/// Sessions remembered while they are metered; the others are read anew.
const MAX_KNOWN_SESSIONS: u64 = 50_000;
/// How long one that is no longer metered is remembered.
const SESSION_IDLE: Duration = Duration::from_mins(15);

/// May this tag charge?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The answer.
    pub status: IdTagStatus,
    /// Until when it holds.
    pub expires_at: Option<Timestamp>,
    /// The tag of its group.
    pub parent: Option<IdTagUid>,
}

/// A session that began, or was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The id the charger is to know it by.
    pub transaction_id: String,
    /// Whether it may go on.
    pub authorization: Authorization,
}

/// Meter values as a charger sends them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeterReport {
    /// The EVSE; `None` is the station's main meter.
    pub evse: Option<EvseNo>,
    /// The transaction they belong to, if any.
    pub transaction_id: Option<String>,
    /// The readings, each with everything that was sent as JSON text.
    pub readings: Vec<(Reading, String)>,
}

/// Transaction ids taken from the store and not handed out yet.
#[derive(Debug, Default)]
pub struct TransactionIds(Mutex<std::ops::Range<i64>>);

/// Sessions that are being metered, by the ids their chargers know them by. A decision may start
/// from an old copy: the store's version guard refuses it, and the copy is dropped.
#[derive(Debug)]
pub struct KnownSessions(sync::Cache<(StationId, String), Session>);

impl Default for KnownSessions {
    fn default() -> Self {
        let sessions = sync::Cache::builder().max_capacity(MAX_KNOWN_SESSIONS);
        Self(sessions.time_to_idle(SESSION_IDLE).build())
    }
}

impl App {
    /// May this tag charge now? What is not a tag at all may not.
    pub async fn authorize(&self, id_tag: Option<&str>) -> Result<Authorization, AppError> {
        let unknown = Authorization {
            status: IdTagStatus::Invalid,
            expires_at: None,
            parent: None,
        };
        let Some(uid) = id_tag.and_then(|text| IdTagUid::new(text).ok()) else {
            return Ok(unknown);
        };
        let Some(tag) = self.store.id_tag(&uid).await? else {
            return Ok(unknown);
        };
        let status = tag.status_at(self.clock.now());
        Ok(Authorization {
            status,
            expires_at: tag.expires_at,
            parent: tag.parent,
        })
    }

    /// A charger begins a session. The same start told again is the same session.
    pub async fn start_charging(
        &self,
        hold: &Hold,
        place: Option<(EvseNo, ConnectorNo)>,
        id_tag: Option<String>,
        at: Option<Timestamp>,
        meter: Option<WattHours>,
        start_key: Option<String>,
    ) -> Result<Started, AppError> {
        let station_id = &hold.station_id;
        let authorization = self.authorize(id_tag.as_deref()).await?;
        let _turn = self.turn(station_id).await?;
        for _ in 0..MAX_ROUNDS {
            if let Some(key) = &start_key
                && let Some(known) = self.store.session_by_start(station_id, key).await?
            {
                return Ok(Started {
                    transaction_id: known.transaction_id,
                    authorization,
                });
            }
            let now = self.clock.now();
            let transaction_id = self.next_transaction_id().await?;
            let start = Start {
                station_id: station_id.clone(),
                place,
                transaction_id: transaction_id.clone(),
                start_key: start_key.clone(),
                id_tag: id_tag.clone(),
                at,
                meter,
            };
            let id = SessionId(self.new_id());
            let known = self.has_connector(station_id, place).await?;
            let mut commit = Commit {
                hold: Some(hold.clone()),
                ..Commit::default()
            };
            let (mut session, event) = if authorization.status == IdTagStatus::Accepted {
                if let Some((evse, _)) = place {
                    self.interrupt_others(station_id, evse, &mut commit, now)
                        .await?;
                }
                Session::start(id, start, now)
            } else {
                Session::refuse(id, start, authorization.status, now)
            };
            if !known {
                session = session.at_unknown_connector();
            }
            commit.sessions.push(SessionWrite::Insert(session));
            commit.events.push(event);
            match self.store.commit(commit).await {
                Ok(_) => {
                    return Ok(Started {
                        transaction_id,
                        authorization,
                    });
                }
                Err(StoreError::Conflict) => self.check_hold(hold).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(contended("start charging"))
    }

    /// A charger ends a session. Told of one that nobody began here, it is kept all the same; told
    /// twice, the first stands.
    pub async fn stop_charging(
        &self,
        hold: &Hold,
        transaction_id: &str,
        id_tag: Option<String>,
        stop: Stop,
        report: MeterReport,
    ) -> Result<(), AppError> {
        let station_id = &hold.station_id;
        let _turn = self.turn(station_id).await?;
        for _ in 0..MAX_ROUNDS {
            let now = self.clock.now();
            let known = self
                .store
                .session_by_transaction(station_id, transaction_id)
                .await?;
            let mut commit = match known {
                Some(session) if session.start_key.as_deref().is_none_or(is_start) => {
                    if session.ended_at.is_some() {
                        return Ok(());
                    }
                    self.stop_known(session, &stop, &report, now).await?
                }
                // Told for the first time, or again, of a session that nobody began here.
                _ => {
                    let key = stop_key(transaction_id, &stop);
                    if self
                        .store
                        .session_by_start(station_id, &key)
                        .await?
                        .is_some()
                    {
                        return Ok(());
                    }
                    let start = Start {
                        station_id: station_id.clone(),
                        place: None,
                        transaction_id: transaction_id.to_owned(),
                        start_key: Some(key),
                        id_tag: id_tag.clone(),
                        at: None,
                        meter: None,
                    };
                    let id = SessionId(self.new_id());
                    let (session, event) = Session::orphan(id, start, &stop, now);
                    Commit {
                        meter_records: records(station_id, Some(id), &report),
                        sessions: vec![SessionWrite::Insert(session)],
                        events: vec![event],
                        ..Commit::default()
                    }
                }
            };
            commit.hold = Some(hold.clone());
            let station = match &commit.station {
                Some(StationWrite::Update { station, .. }) => Some(Arc::new(station.clone())),
                _ => None,
            };
            match self.store.commit(commit).await {
                Ok(_) => {
                    if let Some(station) = station {
                        self.cache.committed(&station).await;
                    }
                    return Ok(());
                }
                Err(StoreError::Conflict) => {
                    self.cache.forget(station_id);
                    self.check_hold(hold).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(contended("stop charging"))
    }

    /// A charger sends meter values.
    pub async fn meter_values(&self, hold: &Hold, report: MeterReport) -> Result<(), AppError> {
        let station_id = &hold.station_id;
        let _turn = self.turn(station_id).await?;
        for _ in 0..MAX_ROUNDS {
            let session = match &report.transaction_id {
                Some(id) => self.session_of(station_id, id).await?,
                None => None,
            };
            let mut read = None;
            let mut commit = Commit {
                hold: Some(hold.clone()),
                meter_records: records(station_id, session.as_ref().map(|s| s.id), &report),
                ..Commit::default()
            };
            if let Some(session) = session.filter(|s| s.ended_at.is_none()) {
                let expected = session.version;
                let session = report
                    .readings
                    .iter()
                    .fold(session, |session, (r, _)| session.read(*r));
                if session.version != expected {
                    read = Some(session.clone());
                    commit
                        .sessions
                        .push(SessionWrite::Update { session, expected });
                }
            }
            let committed = self.store.commit(commit).await;
            if let Some(id) = &report.transaction_id {
                let key = (station_id.clone(), id.clone());
                match (&committed, read) {
                    (Ok(_), Some(session)) => self.known_sessions.0.insert(key, session),
                    (Ok(_), None) => {}
                    (Err(_), _) => self.known_sessions.0.invalidate(&key),
                }
            }
            match committed {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict) => self.check_hold(hold).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(contended("meter values"))
    }

    /// The session a charger knows by this id, from memory when it is being metered.
    async fn session_of(
        &self,
        station_id: &StationId,
        transaction_id: &str,
    ) -> Result<Option<Session>, AppError> {
        let key = (station_id.clone(), transaction_id.to_owned());
        if let Some(session) = self.known_sessions.0.get(&key) {
            return Ok(Some(session));
        }
        Ok(self
            .store
            .session_by_transaction(station_id, transaction_id)
            .await?)
    }

    /// Ends a session that began here: holds its energy against the readings and the connector.
    async fn stop_known(
        &self,
        session: Session,
        stop: &Stop,
        report: &MeterReport,
        now: Timestamp,
    ) -> Result<Commit, AppError> {
        let (station_id, id) = (session.station_id.clone(), session.id);
        let (place, expected) = (session.evse.zip(session.connector), session.version);
        let stored = self.store.readings(id).await?;
        let mut readings: Vec<Reading> = stored.iter().map(|stored| stored.reading).collect();
        readings.extend(report.readings.iter().map(|(reading, _)| *reading));
        readings.sort_by_key(|reading| reading.at);
        let station = self.load_if_there(&station_id).await?;
        let connector = station
            .as_ref()
            .zip(place)
            .and_then(|(station, (evse, connector))| station.connector(evse, connector));
        let limits = Limits {
            max_power: connector.and_then(|connector| connector.max_power),
            register_before: connector.and_then(|connector| connector.register),
        };
        let (session, event) = session
            .stop(stop, &readings, limits, now)
            .map_err(|error| AppError::Internal(error.to_string()))?;
        Ok(Commit {
            station: new_register(station.as_deref(), place, stop.meter),
            meter_records: records(&station_id, Some(id), report),
            sessions: vec![SessionWrite::Update { session, expected }],
            events: vec![event],
            ..Commit::default()
        })
    }

    /// Whether the station has the connector that a charger names.
    async fn has_connector(
        &self,
        station_id: &StationId,
        place: Option<(EvseNo, ConnectorNo)>,
    ) -> Result<bool, AppError> {
        let station = self.load_if_there(station_id).await?;
        let connector = station
            .as_ref()
            .zip(place)
            .and_then(|(station, (evse, connector))| station.connector(evse, connector));
        Ok(connector.is_some())
    }

    /// The station, which may be gone meanwhile; its sessions stay.
    async fn load_if_there(&self, id: &StationId) -> Result<Option<Arc<Station>>, AppError> {
        match self.load(id).await {
            Ok(station) => Ok(Some(station)),
            Err(AppError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sessions still active on an EVSE where another begins: their stops are missing.
    async fn interrupt_others(
        &self,
        station_id: &StationId,
        evse: EvseNo,
        commit: &mut Commit,
        now: Timestamp,
    ) -> Result<(), AppError> {
        for session in self.store.active_sessions(station_id, evse).await? {
            let expected = session.version;
            let interrupted: Result<(Session, NewEvent), _> = session.interrupt(now);
            if let Ok((session, event)) = interrupted {
                commit
                    .sessions
                    .push(SessionWrite::Update { session, expected });
                commit.events.push(event);
            }
        }
        Ok(())
    }

    async fn next_transaction_id(&self) -> Result<String, AppError> {
        let mut block = self.transaction_ids.0.lock().await;
        if block.is_empty() {
            let last = self.store.take_transaction_ids(ID_BLOCK).await?;
            *block = last - ID_BLOCK + 1..last + 1;
        }
        let id = block.start;
        block.start += 1;
        Ok(id.to_string())
    }
}

/// Where the connector's register stands after a session, if that is worth writing down.
fn new_register(
    station: Option<&Station>,
    place: Option<(EvseNo, ConnectorNo)>,
    meter: Option<WattHours>,
) -> Option<StationWrite> {
    let (station, (evse, connector), meter) = (station?, place?, meter?);
    if station.connector(evse, connector)?.register == Some(meter) {
        return None;
    }
    let expected = station.version;
    Some(StationWrite::Update {
        station: station.clone().read_register(evse, connector, meter),
        expected,
    })
}

fn records(
    station_id: &StationId,
    session_id: Option<SessionId>,
    report: &MeterReport,
) -> Vec<MeterRecord> {
    let record = |(reading, samples): &(Reading, String)| MeterRecord {
        session_id,
        station_id: station_id.clone(),
        evse: report.evse,
        reading: *reading,
        samples: samples.clone(),
    };
    report.readings.iter().map(record).collect()
}

/// What marks the record of a stop without a start.
const STOP_KEY: &str = "stop|";

/// What makes a repeated stop the same stop, when there is no session it could be held against.
fn stop_key(transaction_id: &str, stop: &Stop) -> String {
    let at = stop.at.map_or(0, Timestamp::as_microsecond);
    let meter = stop.meter.map_or(-1, |meter| meter.0);
    format!("{STOP_KEY}{transaction_id}|{at}|{meter}")
}

fn is_start(key: &str) -> bool {
    !key.starts_with(STOP_KEY)
}
