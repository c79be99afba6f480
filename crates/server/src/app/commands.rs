//! Commands to chargers: taken on, carried to the one that holds the socket, ended. Always ended.

use std::time::Duration;

use domain::command::Ending;
use domain::{
    Command, CommandId, CommandRecord, NodeId, Outcome, SessionId, SessionState, StationId,
};
use store::{Commit, StoreError};

use super::endings::Ended;
use super::{App, AppError, Conflict, Once, gone};
use crate::cluster::courier::Carried;
use crate::gateway::fleet::{Order, Refused};

/// Longest that a request waits for a command's end.
pub const MAX_WAIT: Duration = Duration::from_mins(1);

/// How long a node that carries another's command waits for the end to tell of.
const TELLING_PATIENCE: Duration = MAX_WAIT;

/// A command that was taken on, without its secrets, and a way to hear of its end.
#[derive(Debug)]
pub struct Ordered {
    /// The command as it stands.
    pub record: CommandRecord,
    end: Option<Ended>,
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
        if let Some(id) = self.recall(once.as_ref()).await? {
            return self.ordered_before(&id, follow).await;
        }
        let carrier = self.carrier(station_id).await?;
        let id = CommandId(self.new_id());
        // Waited for before it begins, so that its end cannot be missed.
        let end = follow.then(|| self.endings.of(id));
        let (record, event) =
            CommandRecord::new(id, station_id.clone(), command, carrier, self.clock.now());
        let commit = Commit {
            new_command: Some(record.clone()),
            idempotency: self.remember(once.as_ref(), id.to_string()),
            events: vec![event],
            ..Commit::default()
        };
        match (self.store.commit(commit).await, &once) {
            (Ok(_), _) => {}
            (Err(StoreError::Conflict), Some(once)) => {
                return self.ordered_before(&self.outrun(once).await?, follow).await;
            }
            (Err(error), _) => return Err(error.into()),
        }
        let shown = record.clone().without_secrets();
        if carrier == self.cluster.node {
            self.hand_over(record).await?;
        } else {
            // The node that carries it out reads the rest from the store.
            self.send_away(carrier, shown.clone(), follow).await?;
        }
        Ok(Ordered { record: shown, end })
    }

    /// The command that an earlier sending of a request made.
    async fn ordered_before(&self, id: &str, follow: bool) -> Result<Ordered, AppError> {
        let id = id.parse().map(CommandId).map_err(|_| gone())?;
        // Waited for before it is read: it may end in between.
        let end = follow.then(|| self.endings.of(id));
        let record = self.command(id).await?.ok_or_else(gone)?;
        Ok(Ordered { record, end })
    }

    /// The node at which the charger is connected.
    async fn carrier(&self, station_id: &StationId) -> Result<NodeId, AppError> {
        let me = self.cluster.node;
        let station = self.station(station_id).await?;
        let station = station.ok_or(AppError::NotFound("Station"))?;
        if self.fleet.link(station_id).is_some() {
            return Ok(me);
        }
        let holder = match self.cluster.directory() {
            // What Redis does not know, or not yet again, the station itself tells.
            Some(directory) => directory.holder(station_id).await.ok().flatten(),
            None => None,
        };
        match holder.or(station.held_by) {
            Some(other) if other != me && self.cluster.courier().is_some() => Ok(other),
            Some(other) if other != me => Err(AppError::Unreachable),
            _ => Err(AppError::Offline),
        }
    }

    /// Puts a command into the queue of the charger's connection to this node.
    async fn hand_over(&self, record: CommandRecord) -> Result<(), AppError> {
        let handed = match self.fleet.link(&record.station_id) {
            Some(link) => link.order(Order::Command(Box::new(record.clone()))),
            None => Err(Refused::Ended),
        };
        match handed {
            Ok(()) => Ok(()),
            Err(refused) => {
                let detail = Some(refused.to_string());
                self.end_command(record, refused.outcome(), detail, None)
                    .await
            }
        }
    }

    /// Sends a command to the node that holds the charger. That one ends it, and tells of it
    /// where somebody waits.
    async fn send_away(
        &self,
        carrier: NodeId,
        record: CommandRecord,
        follow: bool,
    ) -> Result<(), AppError> {
        let waiting = follow.then_some(self.cluster.node);
        let sent = match self.cluster.courier() {
            Some(courier) => courier.send(carrier, &record, waiting).await,
            None => return Err(AppError::Unreachable),
        };
        let Err(error) = sent else { return Ok(()) };
        tracing::warn!(command.id = %record.id, %error, "command not carried to its node");
        let detail = "the node that holds the charger could not be reached: whether it was done is \
                      not known";
        self.end_command(record, Outcome::Lost, Some(detail.to_owned()), None)
            .await
    }

    /// Carries out a command that another node took on.
    pub(crate) async fn carry(&self, carried: Carried) {
        let Carried { id, waiting } = carried;
        let end = waiting.map(|node| (node, self.endings.of(id)));
        if let Err(error) = self.carry_out(id).await {
            // Left open, it is swept as lost later.
            tracing::error!(command.id = %id, %error, "command of another node not carried out");
            return;
        }
        if let Some((node, mut end)) = end {
            let in_time = tokio::time::timeout(TELLING_PATIENCE, end.wait()).await;
            if in_time.is_ok() {
                self.tell_of_end(node, id).await;
            }
        }
    }

    async fn carry_out(&self, id: CommandId) -> Result<(), AppError> {
        // It may have been on its way for long: what has ended, or is there no more, is not begun.
        let open = self.store.command(id).await?;
        if let Some(record) = open.filter(|record| record.ending.is_none()) {
            return self.hand_over(record).await;
        }
        self.endings.told(id);
        Ok(())
    }

    /// Tells another node that a command has ended. It hears of it anyway, a little later.
    async fn tell_of_end(&self, node: NodeId, id: CommandId) {
        if let Some(courier) = self.cluster.courier()
            && let Err(error) = courier.tell(node, id).await
        {
            tracing::debug!(command.id = %id, %error, "a command's end not told to its node");
        }
    }

    /// Waits for a command's end, at most so long, and gives the command as it then stands.
    pub async fn wait_for(
        &self,
        ordered: Ordered,
        patience: Duration,
    ) -> Result<CommandRecord, AppError> {
        let Ordered {
            record,
            end: Some(mut end),
        } = ordered
        else {
            return Ok(ordered.record);
        };
        if record.ending.is_some() {
            return Ok(record);
        }
        // Ended or not, it is given as it stands.
        let _ = tokio::time::timeout(patience, end.wait()).await;
        self.command(record.id)
            .await?
            .ok_or(AppError::NotFound("Command"))
    }

    /// Reads a command, without its secrets.
    pub async fn command(&self, id: CommandId) -> Result<Option<CommandRecord>, AppError> {
        let record = self.store.command(id).await?;
        Ok(record.map(CommandRecord::without_secrets))
    }

    /// Lists a station's commands, newest first, without their secrets.
    pub async fn commands(
        &self,
        station_id: &StationId,
        before: Option<CommandId>,
        limit: u32,
    ) -> Result<Vec<CommandRecord>, AppError> {
        let records = self.store.commands(station_id, before, limit).await?;
        let shown = records.into_iter().map(CommandRecord::without_secrets);
        Ok(shown.collect())
    }

    /// The id by which the charger knows a session that is to be stopped.
    pub async fn transaction_of(
        &self,
        station_id: &StationId,
        session_id: SessionId,
    ) -> Result<String, AppError> {
        let conflict = match self.store.session(session_id).await? {
            Some(session) if session.station_id != *station_id => Conflict::SessionElsewhere,
            Some(session) if session.state != SessionState::Active => Conflict::SessionNotActive,
            Some(session) => return Ok(session.transaction_id),
            None => Conflict::NoSession,
        };
        Err(AppError::Conflict(conflict))
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
        let id = record.id;
        let Some((record, event)) = record.end(ending) else {
            return Ok(());
        };
        let commit = Commit {
            ended_command: Some(record),
            events: vec![event],
            ..Commit::default()
        };
        match self.store.commit(commit).await {
            Ok(_) | Err(StoreError::Conflict) => {
                self.endings.told(id);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Ends commands that nobody will end any more, and tells how many: those of which `is_over`
    /// says, of a command and the nodes that live, that whoever carried it is gone.
    pub async fn sweep_commands(
        &self,
        mut is_over: impl FnMut(&CommandRecord, &[NodeId]) -> bool,
    ) -> Result<usize, AppError> {
        let (mut after, mut swept) = (None, 0);
        loop {
            let page = self.store.open_commands(after).await?;
            let Some(last) = page.last() else {
                return Ok(swept);
            };
            after = Some(last.id);
            // After the page: who has joined since then may carry some of it already.
            let living = self.store.living_nodes().await?;
            for record in page.into_iter().filter(|open| is_over(open, &living)) {
                let detail = "the node that carried it ended before the answer";
                self.end_command(record, Outcome::Lost, Some(detail.to_owned()), None)
                    .await?;
                swept += 1;
            }
        }
    }
}
