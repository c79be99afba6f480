//! The server: the one crate that joins the others.
//!
//! Two ways lead in. A charger's frame comes through [`gateway`], a request through [`api`]; both
//! end in [`app`], the one door to writes, which loads, asks `domain` for a decision, and has
//! `store` commit it with its events. What was committed goes out over [`bus`]; [`cache`] and
//! [`metrics`] follow it. [`cluster`] makes one network of several nodes. [`llm`] reads the
//! journal. [`console`] shows all of it to people. [`drill`] is load on purpose. [`node`] starts
//! all of that and stops it again.

pub mod accept;
pub mod api;
pub mod app;
pub mod bus;
pub mod cache;
pub mod cgroup;
pub mod clock;
pub mod cluster;
pub mod commands;
pub mod config;
pub mod console;
mod counting;
mod demo;
pub mod drill;
pub mod files;
pub mod gateway;
pub mod llm;
pub mod logging;
pub mod metrics;
pub mod node;
mod scrape;
pub mod state;
pub mod version;
