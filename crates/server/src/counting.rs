//! Counters that follow committed events: those of this node's own commits, so that the nodes'
//! counters add up to the network's.

use domain::{Command, Event, EventKind, SessionState};

use crate::metrics::Metrics;

/// Counts what was just committed.
pub fn count(metrics: &Metrics, events: &[Event]) {
    for event in events {
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
}
