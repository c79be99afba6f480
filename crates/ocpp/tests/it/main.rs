//! The crate from outside: what its users rely on.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod frame;
mod peer;
mod peer_properties;
mod v16;
