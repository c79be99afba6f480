//! A living network to try out: twelve simulated stations whose chargers speak real OCPP over real
//! sockets to the server they run in.

use anyhow::Context as _;
use domain::station::{ConnectorSpec, EvseSpec, Location};
use domain::token::{IdTagStatus, IdTagUid};
use domain::{StationId, Watts};
use simulator::StationPlan;
use simulator::fleet;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::{App, AppError, IdTagEntry, NewStation};
use crate::node::Node;

/// The demo's chargers.
#[derive(Debug)]
pub struct Demo {
    shutdown: CancellationToken,
    chargers: JoinHandle<()>,
}

impl Demo {
    /// Enters the stations and lets their chargers connect. What an earlier run entered stays as
    /// it is.
    pub async fn start(node: &Node) -> anyhow::Result<Self> {
        let plans = fleet::demo();
        for tag in fleet::ID_TAGS {
            let uid = IdTagUid::new(tag)?;
            let entry = IdTagEntry {
                status: IdTagStatus::Accepted,
                expires_at: None,
                parent: None,
            };
            node.app.put_id_tag(uid, entry, false, None).await?;
        }
        for plan in &plans {
            enter(&node.app, plan).await?;
        }
        let address = crate::config::reachable(node.address);
        let url = format!("ws://{address}/ocpp")
            .parse()
            .context("the server's own address")?;
        let shutdown = CancellationToken::new();
        tracing::info!(
            stations = plans.len(),
            "demo: simulated chargers are connecting"
        );
        let chargers = tokio::spawn(fleet::run(plans, url, shutdown.clone()));
        Ok(Self { shutdown, chargers })
    }

    /// Lets the chargers go.
    pub async fn stop(self) {
        self.shutdown.cancel();
        // A charger that failed is gone too.
        let _ = self.chargers.await;
    }
}

async fn enter(app: &App, plan: &StationPlan) -> anyhow::Result<()> {
    // Connector n of OCPP 1.6 is EVSE n, connector 1.
    let evse = |connector: &simulator::ConnectorPlan| EvseSpec {
        number: None,
        connectors: vec![ConnectorSpec {
            number: None,
            kind: Some(connector.kind.to_owned()),
            max_power: Some(Watts(connector.max_power_w.into())),
        }],
    };
    let new = NewStation {
        id: Some(StationId::new(&plan.id)?),
        name: plan.name.clone(),
        location: Some(Location {
            latitude: plan.latitude.as_f64(),
            longitude: plan.longitude.as_f64(),
            address: Some(plan.address.clone()),
        }),
        evses: plan.connectors.iter().map(evse).collect(),
    };
    match app.create_station(new, None).await {
        Ok(_) | Err(AppError::Conflict(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
