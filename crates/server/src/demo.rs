//! A living network to try out: simulated stations on real sockets.

use crate::node::Node;

/// The demo's simulated chargers.
pub struct Demo;

impl Demo {
    /// Enters the stations and lets their chargers connect.
    pub async fn start(_node: &Node) -> anyhow::Result<Self> {
        Ok(Self)
    }

    /// Lets the chargers go.
    pub async fn stop(self) {}
}
