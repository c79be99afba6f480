//! Commands to chargers: taken on, carried to the one that holds the socket, ended. Always ended.

use std::time::Duration;

use domain::command::Ending;
use domain::{
    Command, CommandId, CommandRecord, EventKind, Outcome, SessionId, SessionState, StationId,
};
use store::{Commit, StoreError};

use super::{App, AppError, Once, gone};
use crate::bus::Follower;
use crate::gateway::fleet::Order;

/// How much longer than its timeout a command may stay open before it counts as lost: its node
/// must have died.
const OPEN_SLACK: Duration = Duration::from_secs(30);

/// A command that was taken on, and a way to hear of its end.
#[derive(Debug)]
pub struct Ordered {
    /// The command as it stands.
    pub record: CommandRecord,
    follower: Option<Follower>,
}

impl App {
    /// Takes a command on and hands it to the charger's connection. With `follow`, its end can be
    /// waited for.
    pub async fn order(
        &self,
        station_id: &StationId,
        command: Command,
        once: Option<Once>,
        follow: bool,
    ) -> Result<Ordered, AppError> {
        let recalled = self.recall(once.as_ref()).await?;
        // Begun before the command, so that its end cannot be missed.
        let follower = if follow {
            Some(self.bus.follow(None, Some(station_id.clone())).await?)
        } else {
            None
        };
        if let Some(id) = recalled {
            let id = id.parse().map(CommandId).map_err(|_| gone())?;
            let record = self.store.command(id).await?.ok_or_else(gone)?;
            return Ok(Ordered { record, follower });
        }
        if self.station(station_id).await?.is_none() {
            return Err(AppError::NotFound("Station"));
        }
        let link = self.fleet.link(station_id).ok_or(AppError::Offline)?;
        let id = CommandId(self.new_id());
        let (record, event) = CommandRecord::new(id, station_id.clone(), command, self.clock.now());
        let commit = Commit {
            new_command: Some(record.clone()),
            idempotency: self.remember(once.as_ref(), id.to_string()),
            events: vec![event],
            ..Commit::default()
        };
        self.store.commit(commit).await?;
        if let Err(refused) = link.order(Order::Command(Box::new(record.clone()))) {
            self.end_command(
                record.clone(),
                refused.outcome(),
                Some(refused.to_string()),
                None,
            )
            .await?;
        }
        Ok(Ordered { record, follower })
    }

    /// Waits for a command's end, at most so long, and gives the command as it then stands.
    pub async fn wait_for(
        &self,
        ordered: Ordered,
        patience: Duration,
    ) -> Result<CommandRecord, AppError> {
        let Ordered {
            record,
            follower: Some(mut follower),
        } = ordered
        else {
            return Ok(ordered.record);
        };
        if record.ending.is_some() {
            return Ok(record);
        }
        let ended = async {
            while let Some(event) = follower.next().await? {
                match event.event.kind {
                    EventKind::CommandEnded { command_id, .. } if command_id == record.id => break,
                    _ => {}
                }
            }
            Ok::<(), StoreError>(())
        };
        if let Ok(result) = tokio::time::timeout(patience, ended).await {
            result?;
        }
        self.command(record.id)
            .await?
            .ok_or(AppError::NotFound("Command"))
    }

    /// Reads a command.
    pub async fn command(&self, id: CommandId) -> Result<Option<CommandRecord>, AppError> {
        Ok(self.store.command(id).await?)
    }

    /// Lists a station's commands, newest first.
    pub async fn commands(
        &self,
        station_id: &StationId,
        before: Option<CommandId>,
        limit: u32,
    ) -> Result<Vec<CommandRecord>, AppError> {
        Ok(self.store.commands(station_id, before, limit).await?)
    }

    /// The id by which the charger knows a session that is to be stopped.
    pub async fn transaction_of(
        &self,
        station_id: &StationId,
        session_id: SessionId,
    ) -> Result<String, AppError> {
        let conflict = |detail: &str| AppError::Conflict(detail.to_owned());
        match self.store.session(session_id).await? {
            Some(session) if session.station_id != *station_id => {
                Err(conflict("this session is another station's"))
            }
            Some(session) if session.state != SessionState::Active => {
                Err(conflict("this session is not active"))
            }
            Some(session) => Ok(session.transaction_id),
            None => Err(conflict("there is no such session")),
        }
    }

    /// Ends a command. When it has ended already, the first outcome stands.
    pub async fn end_command(
        &self,
        record: CommandRecord,
        outcome: Outcome,
        detail: Option<String>,
        response: Option<serde_json::Value>,
    ) -> Result<(), AppError> {
        let ending = Ending {
            outcome,
            detail,
            response,
            at: self.clock.now(),
        };
        let Some((record, event)) = record.end(ending) else {
            return Ok(());
        };
        let commit = Commit {
            ended_command: Some(record),
            events: vec![event],
            ..Commit::default()
        };
        match self.store.commit(commit).await {
            Ok(_) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends commands that nobody will end any more, and tells how many: all that are open when the
    /// program starts, later those that are open far longer than a command can take.
    pub async fn sweep_commands(&self, all: bool) -> Result<usize, AppError> {
        let limit = self.settings.command_timeout + OPEN_SLACK;
        let limit = jiff::SignedDuration::try_from(limit).unwrap_or(jiff::SignedDuration::MAX);
        let mut swept = 0;
        loop {
            let now = self.clock.now();
            let open = self.store.open_commands().await?;
            let over: Vec<_> = open
                .into_iter()
                .filter(|record| all || now.duration_since(record.created_at) > limit)
                .collect();
            if over.is_empty() {
                return Ok(swept);
            }
            swept += over.len();
            for record in over {
                let detail = "the server that carried it ended before the answer";
                self.end_command(record, Outcome::Lost, Some(detail.to_owned()), None)
                    .await?;
            }
        }
    }
}
