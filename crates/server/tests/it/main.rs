//! The whole server's story: its doors as the world uses them, on SQLite, on PostgreSQL and with
//! Redis; and what becomes of it when the network, the database, Redis or the process itself goes.
//!
//! A story reads from top to bottom: actors ([`support`]) do what people, systems and chargers do,
//! and what they see is held against what the contract promises. [`both!`] tells a story twice.
//! PostgreSQL and Redis are needed: without them the tests fail and say how to get them.

#![expect(
    clippy::too_many_lines,
    clippy::type_complexity,
    reason = "a story is read from its beginning to its end, and what it compares has a shape"
)]
#![expect(clippy::unwrap_used, reason = "in a test a panic is an answer")]

/// Two tests of each story: one on SQLite, one on PostgreSQL. A story is an async function of the
/// [`support::Backend`].
macro_rules! both {
    ($($story:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                super::$story($crate::support::Backend::Sqlite).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                super::$story($crate::support::Backend::Postgres).await;
            })+
        }
    };
}

mod support;

mod analysis_incidents;
mod analysis_quality;

mod api_access;
mod api_analyses;
mod api_cache;
mod api_commands;
mod api_conditions;
mod api_document;
mod api_drills;
mod api_events;
mod api_id_tags;
mod api_journal;
mod api_lists;
mod api_metrics;
mod api_once;
mod api_parts;
mod api_problems;
mod api_service;
mod api_sessions;
mod api_stations;
mod api_status;

mod console_faults;
mod console_guard;
mod console_live;
mod console_pages;
mod console_sign_in;
mod console_work;

mod drill_command;

mod fault_kill;
mod fault_postgres;
mod fault_redis;
mod fault_stop;

mod gateway_commands;
mod gateway_connections;
mod gateway_handshake;
mod gateway_hostile;
mod gateway_messages;
mod gateway_status;
mod gateway_storm;
mod gateway_transactions;

mod llm_model;

mod nodes_apart;
mod nodes_together;

mod simulate;
