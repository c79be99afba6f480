//! Load drills: started, watched, ended. The load itself is in [`crate::drill`].
//!
//! A drill loads the node that was asked for it, and is known there alone; what became of it is
//! also in the event log, for all nodes.

use std::sync::Arc;

use domain::{DrillEnd, DrillId, DrillLoad, EventKind, NewEvent};
use jiff::Timestamp;
use store::Commit;
use tokio::sync::OwnedSemaphorePermit;

use super::{App, AppError, Conflict, Meaningless, Once, gone};
use crate::drill::{Drill, Measured, Running};

impl App {
    /// Begins a drill. There is one at a time.
    ///
    /// It goes on when whoever asked for it goes away meanwhile: nothing is left half begun.
    pub async fn start_drill(
        &self,
        load: DrillLoad,
        once: Option<Once>,
    ) -> Result<Drill, AppError> {
        let app = self.clone();
        let started = tokio::spawn(async move { app.begin_drill(load, once).await });
        started
            .await
            .unwrap_or_else(|error| Err(AppError::Internal(error.to_string())))
    }

    async fn begin_drill(&self, load: DrillLoad, once: Option<Once>) -> Result<Drill, AppError> {
        if !self.settings.drills {
            return Err(AppError::Disabled(
                "load drills are switched off on this server; start it with --drills \
                 (ENCHUFE_DRILLS=true) to allow them",
            ));
        }
        if load.is_nothing() {
            return Err(AppError::Unprocessable(Meaningless::NothingToDo));
        }
        if let Some(id) = self.recall(once.as_ref()).await? {
            let id = id.parse().map(DrillId).map_err(|_| gone())?;
            return self.drill(id).ok_or_else(gone);
        }
        let place = self.drills.place().ok_or_else(|| self.taken())?;
        if self.phase.is_draining() {
            return Err(AppError::Busy);
        }
        let drill = Drill {
            id: DrillId(self.new_id()),
            node: self.cluster.name.clone(),
            load,
            started_at: self.clock.now(),
            ended: None,
            measured: Measured::default(),
        };
        let kind = EventKind::DrillStarted {
            drill_id: drill.id,
            node: drill.node.clone(),
            load,
        };
        let commit = Commit {
            idempotency: self.remember(once.as_ref(), drill.id.to_string()),
            events: vec![event(kind, drill.started_at)],
            ..Commit::default()
        };
        self.store.commit(commit).await?;
        tracing::warn!(drill.id = %drill.id, ?load, "a load drill begins");
        match self.drills.start(drill.clone()) {
            Ok(running) => {
                tokio::spawn(see_to(self.for_chargers(), running, place));
                Ok(drill)
            }
            Err(error) => {
                let ended = ended(&drill, DrillEnd::Aborted, self.clock.now());
                self.store.commit(Commit::of_events(vec![ended])).await?;
                Err(AppError::Internal(format!(
                    "no threads for a drill: {error}"
                )))
            }
        }
    }

    /// Why no other drill may begin.
    fn taken(&self) -> AppError {
        AppError::Conflict(match self.running_drill() {
            Some(drill) => Conflict::DrillRuns {
                id: drill.id,
                until: drill.ends_at(),
            },
            None => Conflict::DrillAtItsEdge,
        })
    }

    /// The drill that runs and those that ended of late, newest first.
    pub fn drills(&self) -> Vec<Drill> {
        self.drills.list()
    }

    /// One of them.
    pub fn drill(&self, id: DrillId) -> Option<Drill> {
        self.drills().into_iter().find(|drill| drill.id == id)
    }

    /// The drill that runs.
    pub fn running_drill(&self) -> Option<Drill> {
        self.drills.running().map(|running| running.now())
    }

    /// Whether drills are allowed here.
    pub fn allows_drills(&self) -> bool {
        self.settings.drills
    }

    /// Ends a drill, and gives it as it then is. One that has ended stays as it is.
    pub async fn abort_drill(&self, id: DrillId) -> Result<Drill, AppError> {
        let drill = self.drill(id).ok_or(AppError::NotFound("Drill"))?;
        if drill.ended.is_some() {
            return Ok(drill);
        }
        self.end_drill(Some(id), DrillEnd::Aborted).await;
        Ok(self.drill(id).unwrap_or(drill))
    }

    /// Ends the drill that runs, because the server stops.
    pub async fn stop_drills(&self) {
        self.end_drill(None, DrillEnd::Stopped).await;
    }

    async fn end_drill(&self, id: Option<DrillId>, how: DrillEnd) {
        let running = self.drills.running();
        if let Some(running) = running.filter(|running| id.is_none_or(|id| id == running.id())) {
            // Its load is gone soon. That this is written down too is not waited for any longer
            // than for other commits.
            let patience = self.store.patience().commit;
            let _ = tokio::time::timeout(patience, running.end(how)).await;
        }
    }
}

/// Sees a drill to its end, and has that written down.
async fn see_to(app: App, running: Arc<Running>, place: OwnedSemaphorePermit) {
    let how = running.over().await;
    let now = app.clock.now();
    app.drills.ended(&running, how, now);
    // The next one may begin, whether or not the database is there to hear of this one.
    drop(place);
    let drill = running.now();
    tracing::info!(drill.id = %drill.id, outcome = %how, "the load drill has ended");
    let ended = ended(&drill, how, now);
    if let Err(error) = app.store.commit(Commit::of_events(vec![ended])).await {
        tracing::warn!(drill.id = %drill.id, %error, "the end of a drill is not written down");
    }
    running.done();
}

fn ended(drill: &Drill, outcome: DrillEnd, at: Timestamp) -> NewEvent {
    let kind = EventKind::DrillEnded {
        drill_id: drill.id,
        node: drill.node.clone(),
        outcome,
    };
    event(kind, at)
}

/// An event of no station.
fn event(kind: EventKind, at: Timestamp) -> NewEvent {
    NewEvent {
        at,
        station_id: None,
        evse: None,
        connector: None,
        kind,
    }
}
