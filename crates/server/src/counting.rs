//! Counters that follow committed events.

use std::sync::Arc;

use domain::{Command, Event, EventKind, SessionState};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::app::{App, MAX_PAGE};

/// Counts the events after `seen` until the server stops. `live` was subscribed before `seen` was
/// read, and both before anything could be changed: else the first changes would not be counted.
pub async fn run(app: App, mut live: Receiver<Arc<Vec<Event>>>, mut seen: i64) {
    loop {
        match live.recv().await {
            // The sequence has no gaps: what is missing was committed by another process.
            Ok(batch) if batch.first().is_some_and(|first| first.seq > seen + 1) => {
                catch_up(&app, &mut seen).await;
            }
            Ok(batch) => count(&app, &batch, &mut seen),
            Err(RecvError::Lagged(_)) => catch_up(&app, &mut seen).await,
            Err(RecvError::Closed) => return,
        }
    }
}

/// Counts what the live stream dropped, from the log.
async fn catch_up(app: &App, seen: &mut i64) {
    loop {
        match app
            .store
            .events(&store::EventFilter::default(), *seen, MAX_PAGE)
            .await
        {
            Ok(page) if page.is_empty() => return,
            Ok(page) => count(app, &Arc::new(page), seen),
            Err(error) => {
                tracing::warn!(%error, "events left uncounted");
                return;
            }
        }
    }
}

fn count(app: &App, events: &[Event], seen: &mut i64) {
    let metrics = &app.metrics;
    for event in events.iter().filter(|event| event.seq > *seen) {
        match &event.event.kind {
            EventKind::ConnectorCreated {} => drop(metrics.connectors_created.inc()),
            EventKind::ConnectorDeleted {} => drop(metrics.connectors_deleted.inc()),
            EventKind::ConnectorUpdated {} | EventKind::ConnectorStatusChanged { .. } => {
                metrics.connectors_updated.inc();
            }
            EventKind::AvailabilityChanged { .. } if event.event.connector.is_some() => {
                metrics.connectors_updated.inc();
            }
            // One that was interrupted ends a second time, with its late stop.
            EventKind::SessionEnded {
                state: SessionState::Ended,
                energy_wh: Some(energy),
                problems,
                ..
            } if problems.iter().all(|problem| !problem.doubts_energy()) => {
                if let Ok(energy) = u64::try_from(energy.0) {
                    metrics.energy_delivered_watt_hours.inc_by(energy);
                }
            }
            EventKind::CommandEnded {
                command, outcome, ..
            } => {
                let known = Command::NAMES.iter().find(|name| *name == command);
                metrics.command_ended(known.copied().unwrap_or("unknown"), outcome.as_str());
            }
            _ => {}
        }
    }
    *seen = (*seen).max(events.last().map_or(0, |event| event.seq));
}
