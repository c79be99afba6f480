//! A living network to try out: twelve simulated stations whose chargers speak real OCPP over real
//! sockets to the server they run in.

use anyhow::Context as _;
use domain::station::{ConnectorSpec, EvseSpec, Location};
use domain::token::{IdTagStatus, IdTagUid};
use domain::{EntryText, StationId, Watts};
use simulator::StationPlan;
use simulator::fleet;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::{App, AppError, EntryFilter, IdTagEntry, NewEntry, NewStation};
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
        write(&node.app, &plans).await?;
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

/// What people wrote: what was worked on, what was hard, what comes next.
const JOURNAL: [[&str; 3]; 4] = [
    [
        "Cambiado el contactor del conector 1",
        "La pieza tardó dos semanas, pero encajó perfectamente",
        "Revisar la temperatura el lunes",
    ],
    [
        "Looked for the cause of the random restarts",
        "Still no idea, and the drivers are angry",
        "Ask the vendor for a firmware with more logging",
    ],
    [
        "Weekly meter readings",
        "Took two hours as usual",
        "Same route next week",
    ],
    [
        "Formación del turno de noche",
        "Aprenden rápido y con ganas",
        "Que hagan la próxima visita solos",
    ],
];

/// Writes the journal's first entries, each about another station, when it has none.
async fn write(app: &App, plans: &[StationPlan]) -> anyhow::Result<()> {
    if !app.entries(&EntryFilter::default(), 1).await?.is_empty() {
        return Ok(());
    }
    for (parts, plan) in JOURNAL.iter().zip(plans) {
        let [work, struggle, intention] = parts.map(EntryText::new);
        let entry = NewEntry {
            work: work?,
            struggle: struggle?,
            intention: intention?,
            station_id: Some(StationId::new(&plan.id)?),
        };
        app.create_entry(entry, None).await?;
    }
    Ok(())
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
