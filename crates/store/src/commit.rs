//! What one decision writes.

use std::sync::Arc;

use domain::session::MeterRecord;
use domain::{
    CommandRecord, Hold, IdTag, IdTagUid, NewEvent, Session, Station, StationId, TokenId,
};
use jiff::Timestamp;

use crate::access::{self, Credentials, Idempotency, NewToken};
use crate::batch::Statement;
use crate::claim::Claim;
use crate::db::Value;
use crate::journal::{self, JournalWrite};
use crate::{StoreError, commands, events, sessions, stations};

/// Everything one decision changes. Applied whole or not at all.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// The connection in whose name it is made: refused when that no longer speaks for its
    /// station. A commit that replaces the station needs none, because the version tells.
    pub hold: Option<Hold>,
    /// The station it is about.
    pub station: Option<StationWrite>,
    /// Its charger's new credentials.
    pub credentials: Option<Credentials>,
    /// Sessions it begins or changes.
    pub sessions: Vec<SessionWrite>,
    /// Meter records; one that is already there is left alone.
    pub meter_records: Vec<MeterRecord>,
    /// A command it takes on.
    pub new_command: Option<CommandRecord>,
    /// A command it ends. Refused when that has ended already.
    pub ended_command: Option<CommandRecord>,
    /// An id tag to enter or replace, with the version it must still have (0: must not exist).
    pub id_tag: Option<(IdTag, i64)>,
    /// An id tag to remove, with the version it must still have.
    pub deleted_id_tag: Option<(IdTagUid, i64)>,
    /// An access token to keep.
    pub new_token: Option<NewToken>,
    /// An access token to remove.
    pub revoked_token: Option<TokenId>,
    /// What becomes of the journal.
    pub journal: Option<JournalWrite>,
    /// Tokens that the language model was paid for, and when.
    pub tokens_spent: Option<(Timestamp, i64)>,
    /// What to remember of the request, so that its repetition finds what it made.
    pub idempotency: Option<Idempotency>,
    /// What happened.
    pub events: Vec<NewEvent>,
}

/// What becomes of the station.
#[derive(Clone, Debug)]
pub enum StationWrite {
    /// It is new: no other may have its id.
    Insert(Station),
    /// It replaces the one that still has the `expected` version.
    Update {
        /// The new one.
        station: Station,
        /// The version the decision was based on.
        expected: i64,
    },
    /// It goes, if it still has the `expected` version. Its history and sessions stay.
    Delete {
        /// Which.
        id: StationId,
        /// The version the decision was based on.
        expected: i64,
    },
}

/// What becomes of a session.
#[derive(Clone, Debug)]
pub enum SessionWrite {
    /// It is new: its station has none of the same start.
    Insert(Session),
    /// It replaces the one that still has the `expected` version.
    Update {
        /// The new one.
        session: Session,
        /// The version the decision was based on.
        expected: i64,
    },
}

/// A kind of record of which no two commits of one transaction may write the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Record {
    Station,
    Credentials,
    Session,
    MeterValue,
    Command,
    IdTag,
    Token,
    Entry,
    Analysis,
    Spending,
    Idempotency,
}

/// Names a record.
pub(crate) type Key = (Record, Arc<str>);

/// A commit made ready: rows as the statements take them. This is done by each caller for its own,
/// so that the one writer has little left to do, and what cannot be written down fails only its
/// own caller.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    pub(crate) claim: Arc<Claim>,
    pub(crate) writes: Vec<Write>,
    /// The station and the epoch of the connection in whose name it is made.
    pub(crate) hold: Option<[Value; 2]>,
    pub(crate) events: Vec<NewEvent>,
    /// The events' rows, apart from their places.
    pub(crate) event_rows: Vec<[Value; 4]>,
}

/// A row for a statement.
pub(crate) struct Write {
    pub(crate) statement: &'static Statement,
    pub(crate) key: Key,
    pub(crate) row: Vec<Value>,
}

impl std::fmt::Debug for Write {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.key.fmt(f)
    }
}

impl Commit {
    /// A commit that only tells of something.
    pub fn of_events(events: Vec<NewEvent>) -> Self {
        Self {
            events,
            ..Self::default()
        }
    }

    /// Makes it ready.
    pub(crate) fn prepare(self) -> Result<Prepared, StoreError> {
        let hold = |hold: &Hold| [hold.station_id.as_str().into(), hold.epoch.into()];
        let mut ready = Prepared {
            hold: self.hold.as_ref().map(hold),
            ..Prepared::default()
        };
        match &self.station {
            Some(StationWrite::Insert(station)) => ready.write(
                &stations::INSERT,
                Record::Station,
                stations::insert_row(station)?,
            ),
            Some(StationWrite::Update { station, expected }) => ready.write(
                &stations::UPDATE,
                Record::Station,
                stations::update_row(station, *expected)?,
            ),
            Some(StationWrite::Delete { id, expected }) => {
                let row = vec![id.as_str().into(), (*expected).into()];
                ready.write(&stations::DELETE, Record::Station, row);
                // A station entered anew under the same id is another one.
                let row = vec![id.as_str().into()];
                ready.write(&access::DELETE_CREDENTIALS, Record::Credentials, row);
            }
            None => {}
        }
        if let Some(credentials) = &self.credentials {
            let row = credentials.row();
            ready.write(&access::UPSERT_CREDENTIALS, Record::Credentials, row);
        }
        for write in &self.sessions {
            let (statement, row) = match write {
                SessionWrite::Insert(session) => {
                    (&sessions::INSERT, sessions::insert_row(session)?)
                }
                SessionWrite::Update { session, expected } => {
                    (&sessions::UPDATE, sessions::update_row(session, *expected)?)
                }
            };
            ready.write(statement, Record::Session, row);
        }
        for record in &self.meter_records {
            let row = sessions::meter_row(record);
            ready.write(&sessions::INSERT_METER_VALUE, Record::MeterValue, row);
        }
        if let Some(command) = &self.new_command {
            let row = commands::insert_row(command)?;
            ready.write(&commands::INSERT, Record::Command, row);
        }
        if let Some(command) = &self.ended_command {
            let row = commands::end_row(command)?;
            ready.write(&commands::END, Record::Command, row);
        }
        self.prepare_access(&mut ready)?;
        self.prepare_journal(&mut ready)?;
        for event in &self.events {
            ready.event_rows.push(events::row(event)?);
        }
        ready.events = self.events;
        Ok(ready)
    }

    fn prepare_access(&self, ready: &mut Prepared) -> Result<(), StoreError> {
        if let Some((tag, expected)) = &self.id_tag {
            let (statement, row) = match expected {
                0 => (&access::INSERT_ID_TAG, access::id_tag_row(tag)?),
                _ => (
                    &access::UPDATE_ID_TAG,
                    access::id_tag_update_row(tag, *expected)?,
                ),
            };
            ready.write(statement, Record::IdTag, row);
        }
        if let Some((uid, expected)) = &self.deleted_id_tag {
            let row = vec![uid.as_str().into(), (*expected).into()];
            ready.write(&access::DELETE_ID_TAG, Record::IdTag, row);
        }
        if let Some(token) = &self.new_token {
            ready.write(&access::INSERT_TOKEN, Record::Token, token.row());
        }
        if let Some(id) = &self.revoked_token {
            let row = vec![id.to_string().into()];
            ready.write(&access::DELETE_TOKEN, Record::Token, row);
        }
        if let Some(idempotency) = &self.idempotency {
            let key = idempotency.guard().into();
            let row = idempotency.row();
            ready.write_keyed(&access::INSERT_IDEMPOTENCY, Record::Idempotency, &key, row);
        }
        Ok(())
    }

    fn prepare_journal(&self, ready: &mut Prepared) -> Result<(), StoreError> {
        match &self.journal {
            Some(JournalWrite::Insert(entry)) => {
                let row = journal::insert_row(entry)?;
                ready.write(&journal::INSERT, Record::Entry, row);
            }
            Some(JournalWrite::Update { entry, expected }) => {
                let row = journal::update_row(entry, *expected)?;
                ready.write(&journal::UPDATE, Record::Entry, row);
            }
            Some(JournalWrite::Delete { id, expected }) => {
                let id: Value = id.to_string().into();
                let row = vec![id.clone(), (*expected).into()];
                ready.write(&journal::DELETE, Record::Entry, row);
                ready.write(&journal::DELETE_ANALYSES_OF, Record::Analysis, vec![id]);
            }
            Some(JournalWrite::Clear) => {
                let all = || vec!["all".into()];
                ready.write(&journal::CLEAR, Record::Entry, all());
                ready.write(&journal::CLEAR_ANALYSES, Record::Analysis, all());
            }
            Some(JournalWrite::Analysis { analysis, drop }) => {
                for id in drop {
                    let row = vec![id.to_string().into()];
                    ready.write(&journal::DELETE_ANALYSIS, Record::Analysis, row);
                }
                let row = journal::analysis_row(analysis)?;
                ready.write(&journal::INSERT_ANALYSIS, Record::Analysis, row);
            }
            None => {}
        }
        if let Some((at, tokens)) = self.tokens_spent {
            let row = journal::spend_row(at, tokens);
            ready.write(&journal::SPEND, Record::Spending, row);
        }
        Ok(())
    }
}

impl Prepared {
    /// Adds a row. Its first value is its key.
    fn write(&mut self, statement: &'static Statement, record: Record, row: Vec<Value>) {
        let key = row.first().cloned().unwrap_or(Value::NoText);
        self.write_keyed(statement, record, &key, row);
    }

    /// Adds a row with its key, as the statement returns it.
    fn write_keyed(
        &mut self,
        statement: &'static Statement,
        record: Record,
        key: &Value,
        row: Vec<Value>,
    ) {
        let key = (record, key.shared_text());
        self.writes.push(Write {
            statement,
            key,
            row,
        });
    }

    /// The records it guards.
    pub(crate) fn guards(&self) -> impl Iterator<Item = &Key> {
        self.writes
            .iter()
            .filter(|write| write.statement.is_guarded())
            .map(|write| &write.key)
    }
}
