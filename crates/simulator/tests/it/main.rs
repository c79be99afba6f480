//! The simulator against servers that are not there either: one without a socket, in which a day
//! passes in a blink, and one with.

#![expect(
    clippy::unwrap_used,
    reason = "a test may panic; helpers of tests are not recognised as such"
)]

mod crew;
mod fake;
mod load;
mod rest;
mod servers;
mod socket;
mod verify;
mod world;
