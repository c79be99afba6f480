//! The rules of the domain, held against random histories.
#![expect(clippy::unwrap_used, reason = "in a test a panic is an answer")]

use jiff::Timestamp;
use proptest::prelude::ProptestConfig;

mod events;
mod sessions;
mod stations;

fn at(second: usize) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + i64::try_from(second).unwrap()).unwrap()
}

/// Cases enough to meet what is rare; nothing is kept between runs.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 1_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
