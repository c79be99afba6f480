//! Every statement, for the test that prepares each of them on both databases.

use crate::batch::Statement;
use crate::db::ByDatabase;
use crate::pool::Pool;
use crate::{StoreError, access, commands, events, journal, nodes, sessions, sign_ins, stations};

/// Statements over one row of values at a time, or over none.
const PLAIN: &[&str] = &[
    access::TOKEN_BY_HASH,
    access::LIST_TOKENS,
    access::GET_CREDENTIALS,
    access::GET_ID_TAG,
    access::LIST_ID_TAGS,
    access::GET_IDEMPOTENCY,
    access::FORGET_IDEMPOTENCY,
    crate::COUNT,
    crate::LAST_SEQ,
    crate::NETWORK,
    commands::GET,
    commands::LIST,
    commands::OPEN,
    events::TAKE_PLACES,
    events::AFTER,
    events::AFTER_OF_STATION,
    events::HISTORY,
    events::OLDEST,
    events::FORGET,
    events::FORGETTABLE,
    nodes::LEAVE,
    nodes::GIVE_LEASE,
    nodes::SUCCEED,
    nodes::SUCCEED_ALL,
    nodes::LIVING,
    nodes::ORPHANS,
    nodes::HELD,
    journal::GET,
    journal::LIST,
    journal::LIST_OF_STATION,
    journal::GET_ANALYSIS,
    journal::LIST_ANALYSES,
    journal::LATEST_ANALYSIS,
    journal::SPENT,
    sessions::GET,
    sessions::BY_START,
    sessions::BY_TRANSACTION,
    sessions::ACTIVE_AT,
    sessions::LIST,
    sessions::LIST_ACTIVE,
    sessions::LIST_OF_STATION,
    sessions::READINGS,
    sessions::COUNT_ACTIVE,
    sign_ins::INSERT,
    sign_ins::GET,
    sign_ins::DELETE,
    sign_ins::TRIM,
    sign_ins::FORGET,
    stations::GET,
    stations::LIST,
    stations::TOTALS,
];

/// Statements over many rows.
const BATCHED: &[&Statement] = &[
    &access::INSERT_TOKEN,
    &access::DELETE_CREDENTIALS,
    &access::DELETE_TOKEN,
    &access::UPSERT_CREDENTIALS,
    &access::INSERT_ID_TAG,
    &access::UPDATE_ID_TAG,
    &access::DELETE_ID_TAG,
    &access::INSERT_IDEMPOTENCY,
    &commands::INSERT,
    &commands::END,
    &events::INSERT,
    &nodes::CHECK_HOLDS,
    &journal::INSERT,
    &journal::UPDATE,
    &journal::DELETE,
    &journal::DELETE_ANALYSES_OF,
    &journal::DELETE_ANALYSIS,
    &journal::CLEAR,
    &journal::CLEAR_ANALYSES,
    &journal::INSERT_ANALYSIS,
    &journal::SPEND,
    &sessions::INSERT,
    &sessions::UPDATE,
    &sessions::INSERT_METER_VALUE,
    &stations::INSERT,
    &stations::UPDATE,
    &stations::DELETE,
];

/// Statements that each database has its own words for.
const TOLD_APART: &[ByDatabase] = &[
    nodes::ENTER,
    nodes::BEAT,
    nodes::BURY,
    nodes::TAKE_LEASE,
    stations::LONGEST_FAULT,
];

/// What only PostgreSQL is asked.
const POSTGRES: &[&str] = &[
    events::TAKE_PLACES_NAMED,
    events::NAME_TRANSACTION,
    events::TRANSACTION_STATUS,
];

impl Pool {
    /// Prepares every statement in all its forms, and tells how many there are.
    pub(crate) async fn prepare_all(&self) -> Result<usize, StoreError> {
        let postgres = matches!(self, Self::Postgres(_));
        let batched = BATCHED.iter().flat_map(|s| s.texts(postgres));
        let own = if postgres { POSTGRES } else { &[] };
        let told_apart = TOLD_APART.iter().map(|sql| sql.of(postgres));
        let plain = PLAIN.iter().chain(own).copied();
        let all: Vec<&str> = plain.chain(told_apart).chain(batched).collect();
        for sql in &all {
            self.prepare(sql).await?;
        }
        Ok(all.len())
    }
}
