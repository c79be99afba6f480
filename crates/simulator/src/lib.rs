//! Chargers that are not there: simulated on the protocol alone, one or thousands.
//!
//! This crate is the other end of the line. It knows [`ocpp`] and a server's address, and nothing
//! of how that server is built; whatever it finds out, a charger in the street would find out too.
//!
//! - [`Charger`] is one charger as a state machine: text and time go in, frames and
//!   [`Happening`]s come out. Given the same seed and the same answers it lives the same day.
//! - [`drive()`] gives a charger a socket and the time of day.
//! - [`fleet`] is the demonstration: twelve stations in a city, each with a character.
//! - [`load`] is thousands of simpler chargers that count, measure and write down what the server
//!   has acknowledged. [`rest`] enters their stations first.
//!
//! # Two speeds
//!
//! Nobody watches a car charge for forty minutes, so a [`Pace`] shortens what people and luck
//! decide: when a car comes, how long it stays, when something breaks. Physics keeps real time: a
//! charger of 22 kW delivers 6 Wh a second at any pace, so that a server that checks energy against
//! power and time finds nothing to object to.

pub mod charger;
pub mod clock;
pub mod drive;
pub mod fleet;
pub mod happening;
pub mod link;
pub mod load;
pub mod plan;
pub mod rest;

pub use charger::Charger;
pub use clock::Moment;
pub use drive::drive;
pub use happening::Happening;
pub use link::{Dialer, LinkError};
pub use plan::{Character, ConnectorPlan, Pace, Recurring, Span, StationPlan};
