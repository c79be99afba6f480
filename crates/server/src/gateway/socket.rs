//! One charger's connection: one small task.
//!
//! The task reads a frame, has the [`Peer`] correlate it, carries out what it asks for and only
//! then answers: what is answered is committed. Commands come in through the connection's
//! [`Link`], go out one at a time, and each ends in an outcome, whatever becomes of the socket.
//!
//! The task's future is kept for as long as the charger is connected, and most of the time it
//! waits for a frame. So whatever it does between two waits is boxed: what is needed for a decision
//! and a commit is several times as large as what is needed to wait, and is given back.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use domain::{CommandRecord, Outcome, StationId};
use futures_util::{FutureExt as _, SinkExt as _};
use ocpp::peer::{IncomingCall, Peer, Received};
use ocpp::{CallError, Version};
use tokio::time::{Instant, sleep_until, timeout};
use yawc::close::CloseCode;
use yawc::{Frame, HttpStream, OpCode, UpgradeFut, WebSocket, WebSocketError};

use super::fleet::{Handshake, Link, Order};
use super::{Connection, Dialect, GiveUp, Meaning, Reply, patiently};
use crate::app::{App, AppError};
use crate::files::Seat;
use crate::metrics::{Direction, DisconnectReason, MessageOutcome};

/// How long a frame may take to leave. A charger that reads nothing for so long is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a farewell may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

type Socket = WebSocket<HttpStream>;

/// A command on its way to the charger.
struct InFlight {
    record: CommandRecord,
    action: &'static str,
    since: Instant,
}

struct Task {
    app: App,
    handshake: Handshake,
    connection: Connection,
    dialect: Dialect,
    link: Arc<Link>,
    socket: Socket,
    seat: Seat,
    peer: Peer<Box<InFlight>>,
    heard: Instant,
    pinged: bool,
}

/// Runs a connection from its upgrade to its end, and to the commit of that.
pub(super) fn run(
    app: App,
    station_id: StationId,
    handshake: Handshake,
    version: Version,
    dialect: Dialect,
    upgrade: UpgradeFut,
    seat: Seat,
) -> impl Future<Output = ()> + Send {
    // Boxed before the future begins: what a future is given it keeps to its end.
    let opening = Box::pin(async move {
        let opened = open(
            &app,
            &station_id,
            handshake,
            version,
            dialect,
            upgrade,
            seat,
        )
        .await;
        if opened.is_none() {
            app.fleet.dismiss(&station_id, handshake);
        }
        opened
    });
    async move {
        if let Some(task) = opening.await {
            task.run().await;
        }
    }
}

/// Completes the upgrade and takes the connection in. `None` when it ended meanwhile.
async fn open(
    app: &App,
    station_id: &StationId,
    handshake: Handshake,
    version: Version,
    dialect: Dialect,
    upgrade: UpgradeFut,
    seat: Seat,
) -> Option<Box<Task>> {
    let mut socket = match upgrade.await {
        Ok(socket) => socket,
        Err(error) => {
            tracing::debug!(station.id = %station_id, %error, "upgrade failed");
            return None;
        }
    };
    let protocol = version.subprotocol();
    let connected = patiently(|| app.charger_connected(station_id, handshake, protocol));
    let connected = match connected.await {
        Ok(connected) => connected,
        Err(error) => {
            tracing::info!(station.id = %station_id, %error, "connection not taken in");
            let reason = match error {
                AppError::Superseded => DisconnectReason::Replaced,
                AppError::NotFound(_) => DisconnectReason::Revoked,
                _ => DisconnectReason::NetworkError,
            };
            farewell(&mut socket, reason).await;
            return None;
        }
    };
    let hold = connected.hold;
    app.metrics.ocpp_connects.inc();
    tracing::info!(station.id = %station_id, epoch = hold.epoch, protocol, "charger connected");
    let link = app.fleet.join(station_id, hold.epoch, app.clock.now());
    if let Some(directory) = app.cluster.directory() {
        // What Redis does not hear now it is told when the claims are renewed.
        let _ = directory.claim(&hold).await;
    }
    Some(Box::new(Task {
        app: app.clone(),
        handshake,
        connection: Connection {
            hold,
            version,
            booted: connected.booted,
            triggered: Vec::new(),
        },
        dialect,
        link,
        socket,
        seat,
        peer: Peer::new(version),
        heard: Instant::now(),
        pinged: false,
    }))
}

impl Task {
    async fn run(mut self: Box<Self>) {
        // A defect in one connection must not leave its station online and its commands open.
        let reason = match AssertUnwindSafe(self.serve()).catch_unwind().await {
            Ok(reason) => reason,
            Err(_) => DisconnectReason::ProtocolError,
        };
        Box::pin(self.end_connection(reason)).await;
    }

    /// Says farewell, and writes down that the connection is gone and what is lost with it.
    async fn end_connection(mut self: Box<Self>, reason: DisconnectReason) {
        farewell(&mut self.socket, reason).await;
        let Self {
            app,
            handshake,
            connection: Connection { hold, .. },
            link,
            peer,
            socket,
            seat,
            ..
        } = *self;
        // Room for another charger, while what became of this one is still to be written down.
        drop((socket, seat));
        let station_id = &hold.station_id;
        app.fleet.leave(station_id, hold.epoch);
        let last_seen = link.last_seen();
        end_commands(&app, &link, peer).await;
        app.metrics.ocpp_disconnected(reason);
        tracing::info!(
            station.id = %station_id, epoch = hold.epoch, reason = reason.as_str(),
            "charger disconnected"
        );
        let disconnected =
            patiently(|| app.charger_disconnected(&hold, reason.as_str(), last_seen));
        if let Err(error) = disconnected.await {
            tracing::error!(station.id = %station_id, %error, "disconnection not written down");
        }
        if let Some(directory) = app.cluster.directory() {
            // Should Redis not hear it, the entry expires.
            let _ = directory.release(&hold).await;
        }
        app.fleet.dismiss(station_id, handshake);
    }

    /// Serves the connection until it ends, and tells why it did.
    async fn serve(&mut self) -> DisconnectReason {
        loop {
            let wake = self.next_wake();
            // In this order: what has arrived is heard before the silence is judged.
            let step = tokio::select! {
                biased;
                order = self.link.next() => match order {
                    Ok(Order::Command(record)) => Box::pin(self.command(*record)).await,
                    Err(reason) => Err(reason),
                },
                frame = self.socket.next_frame() => Box::pin(self.frame(frame)).await,
                () = sleep_until(wake) => Box::pin(self.tick()).await,
            };
            if let Err(reason) = step {
                return reason;
            }
        }
    }

    /// When something is due: a ping, giving up on the charger, or a call's deadline.
    fn next_wake(&self) -> Instant {
        let intervals = if self.pinged { 2 } else { 1 };
        let ping = self.heard + self.app.settings.ping_interval * intervals;
        match self.peer.next_deadline() {
            Some(deadline) => ping.min(deadline.into()),
            None => ping,
        }
    }

    async fn tick(&mut self) -> Result<(), DisconnectReason> {
        let now = Instant::now();
        let expired = self.peer.expire(now.into());
        for unanswered in expired.calls {
            self.count_sent(&unanswered.token, MessageOutcome::TimedOut);
            let detail = Some("the charger did not answer in time".to_owned());
            self.end(unanswered.token.record, Outcome::TimedOut, detail, None)
                .await?;
        }
        if let Some(next) = expired.next {
            self.send(Frame::text(next)).await?;
        }
        let interval = self.app.settings.ping_interval;
        if self.pinged && now >= self.heard + interval * 2 {
            return Err(DisconnectReason::TimedOut);
        }
        if !self.pinged && now >= self.heard + interval {
            self.pinged = true;
            self.send(Frame::ping(&b""[..])).await?;
        }
        Ok(())
    }

    async fn frame(
        &mut self,
        frame: Result<Frame, WebSocketError>,
    ) -> Result<(), DisconnectReason> {
        let frame = frame.map_err(|error| self.broken(&error))?;
        self.heard = Instant::now();
        self.pinged = false;
        self.link.heard(self.app.clock.now());
        match frame.opcode() {
            OpCode::Close => Err(DisconnectReason::Closed),
            OpCode::Text | OpCode::Binary => {
                let payload = frame.into_payload();
                match std::str::from_utf8(&payload) {
                    Ok(text) => self.message(text).await,
                    Err(_) => Err(DisconnectReason::ProtocolError),
                }
            }
            // Pings are answered by the socket itself; a pong has done its work by arriving.
            OpCode::Ping | OpCode::Pong | OpCode::Continuation => Ok(()),
        }
    }

    async fn message(&mut self, text: &str) -> Result<(), DisconnectReason> {
        match self.peer.receive(text, Instant::now().into()) {
            Received::Call(call) => self.call(call).await,
            Received::Send { .. } => Ok(()),
            Received::Answered {
                token,
                result,
                next,
            } => {
                let result = result.map(str::to_owned);
                if let Some(next) = next {
                    self.send(Frame::text(next)).await?;
                }
                self.answered(*token, result).await
            }
            Received::Reply { frame, reason } => {
                tracing::debug!(station.id = %self.connection.hold.station_id, %reason, "odd frame answered");
                self.send(Frame::text(frame)).await
            }
            Received::Ignored(reason) => {
                tracing::debug!(station.id = %self.connection.hold.station_id, %reason, "frame ignored");
                Ok(())
            }
        }
    }

    /// Carries out a charger's call, and answers it.
    async fn call(&mut self, call: IncomingCall<'_>) -> Result<(), DisconnectReason> {
        let started = Instant::now();
        let version = version_label(self.connection.version);
        let action = self.dialect.known_action(&call.action);
        let answer = self
            .dialect
            .answer(&self.app, &mut self.connection, &call.action, call.payload)
            .await;
        let (frame, outcome) = match answer {
            Ok(Reply::Conf(conf)) => (
                self.peer.answer(call.ticket, &conf),
                MessageOutcome::Answered,
            ),
            Ok(Reply::Refusal(error)) => {
                tracing::info!(
                    station.id = %self.connection.hold.station_id, action, code = %error.code,
                    detail = %error.description, "call refused"
                );
                (self.peer.refuse(call.ticket, &error), MessageOutcome::Error)
            }
            Err(GiveUp(error)) => return Err(self.give_up(action, &error)),
        };
        self.send(Frame::text(frame)).await?;
        let metrics = &self.app.metrics;
        metrics.ocpp_message(version, action, Direction::Received, outcome);
        let seconds = started.elapsed().as_secs_f64();
        metrics.ocpp_call_answered(version, action, Direction::Received, seconds);
        Ok(())
    }

    /// Sends a command to the charger, or puts it behind the one that is out.
    async fn command(&mut self, record: CommandRecord) -> Result<(), DisconnectReason> {
        let call = match self.dialect.call(&record.command) {
            Ok(call) => call,
            Err(why) => return self.end(record, Outcome::Failed, Some(why), None).await,
        };
        self.connection.ordered(&record.command);
        let since = Instant::now();
        let deadline = since + self.app.settings.command_timeout;
        let action = call.action();
        let id = record.id.0.simple().to_string();
        let token = Box::new(InFlight {
            record,
            action,
            since,
        });
        match self.peer.call(token, id, action, &call, deadline.into()) {
            Ok(Some(frame)) => self.send(Frame::text(frame)).await,
            Ok(None) => Ok(()),
            Err(full) => {
                let detail = Some("too many commands are waiting for this charger".to_owned());
                self.end(full.0.record, Outcome::Failed, detail, None).await
            }
        }
    }

    /// Ends a command with the charger's answer.
    async fn answered(
        &mut self,
        call: InFlight,
        result: Result<String, CallError>,
    ) -> Result<(), DisconnectReason> {
        let outcome = if result.is_ok() {
            MessageOutcome::Answered
        } else {
            MessageOutcome::Error
        };
        self.count_sent(&call, outcome);
        let response = result
            .as_deref()
            .ok()
            .and_then(|text| serde_json::from_str(text).ok());
        let meaning = result.and_then(|payload| self.dialect.meaning(call.action, &payload));
        let Meaning { outcome, detail } = meaning.unwrap_or_else(|error| Meaning {
            outcome: Outcome::Failed,
            detail: Some(format!("{}: {}", error.code, error.description)),
        });
        if outcome != Outcome::Accepted {
            self.connection.refused(&call.record.command);
        }
        self.end(call.record, outcome, detail, response).await
    }

    async fn end(
        &mut self,
        record: CommandRecord,
        outcome: Outcome,
        detail: Option<String>,
        response: Option<serde_json::Value>,
    ) -> Result<(), DisconnectReason> {
        end_command(&self.app, record, outcome, detail, response).await;
        Ok(())
    }

    async fn send(&mut self, frame: Frame) -> Result<(), DisconnectReason> {
        match timeout(SEND_TIMEOUT, self.socket.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.broken(&error)),
            Err(_) => Err(DisconnectReason::TimedOut),
        }
    }

    fn count_sent(&self, call: &InFlight, outcome: MessageOutcome) {
        let version = version_label(self.connection.version);
        let metrics = &self.app.metrics;
        metrics.ocpp_message(version, call.action, Direction::Sent, outcome);
        let seconds = call.since.elapsed().as_secs_f64();
        metrics.ocpp_call_answered(version, call.action, Direction::Sent, seconds);
    }

    fn broken(&self, error: &WebSocketError) -> DisconnectReason {
        tracing::debug!(station.id = %self.connection.hold.station_id, %error, "socket error");
        match error {
            WebSocketError::ConnectionClosed => DisconnectReason::Closed,
            WebSocketError::IoError(_) => DisconnectReason::NetworkError,
            _ => DisconnectReason::ProtocolError,
        }
    }

    /// A message can be neither carried out nor refused: without an answer the charger keeps it
    /// and sends it again on its next connection.
    fn give_up(&self, action: &'static str, error: &AppError) -> DisconnectReason {
        let station_id = &self.connection.hold.station_id;
        match error {
            AppError::NotFound(_) => return DisconnectReason::Revoked,
            AppError::Superseded => return DisconnectReason::Replaced,
            _ => {}
        }
        tracing::error!(station.id = %station_id, action, %error, "message left unanswered");
        DisconnectReason::NetworkError
    }
}

/// Tells the charger why, as far as it still listens.
async fn farewell(socket: &mut Socket, reason: DisconnectReason) {
    let (code, text) = match reason {
        DisconnectReason::Closed => (CloseCode::Normal, ""),
        DisconnectReason::Replaced => (CloseCode::Policy, "replaced by a newer connection"),
        DisconnectReason::TimedOut => (CloseCode::Policy, "no answer to pings"),
        DisconnectReason::ProtocolError => (CloseCode::Protocol, "protocol error"),
        DisconnectReason::NetworkError => (CloseCode::Again, "try again later"),
        DisconnectReason::Revoked => (CloseCode::Policy, "no longer known here"),
        DisconnectReason::Disowned => (CloseCode::Restart, "connect again"),
        DisconnectReason::Shutdown => (CloseCode::Restart, "server restarting"),
    };
    let farewell = async {
        // Whether it arrives changes nothing.
        let _ = socket.send(Frame::close(code, text)).await;
        let _ = socket.close().await;
    };
    let _ = timeout(CLOSE_TIMEOUT, farewell).await;
}

/// The connection is gone: what it did not end is lost.
async fn end_commands(app: &App, link: &Link, peer: Peer<Box<InFlight>>) {
    let unanswered: Vec<_> = peer.close().collect();
    for unanswered in unanswered {
        let detail = if unanswered.sent {
            "the connection was lost before the answer: whether it was done is not known"
        } else {
            "the connection was lost before the command was sent"
        };
        let record = unanswered.token.record;
        end_command(app, record, Outcome::Lost, Some(detail.to_owned()), None).await;
    }
    for Order::Command(record) in link.end() {
        let detail = "the connection was lost before the command was sent".to_owned();
        end_command(app, *record, Outcome::Lost, Some(detail), None).await;
    }
}

async fn end_command(
    app: &App,
    record: CommandRecord,
    outcome: Outcome,
    detail: Option<String>,
    response: Option<serde_json::Value>,
) {
    let id = record.id;
    let ended =
        patiently(|| app.end_command(record.clone(), outcome, detail.clone(), response.clone()));
    if let Err(error) = ended.await {
        // Left open, it is swept as lost later.
        tracing::error!(command.id = %id, %error, "outcome not written down");
    }
}

fn version_label(version: Version) -> &'static str {
    match version {
        Version::V16 => "1.6",
        Version::V201 => "2.0.1",
        Version::V21 => "2.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn future_size<F>(
        _: impl FnOnce(App, StationId, Handshake, Version, Dialect, UpgradeFut, Seat) -> F,
    ) -> usize {
        size_of::<F>()
    }

    /// There is one for each charger, and most of the time it waits.
    #[test]
    fn what_a_connection_keeps_while_it_waits_is_small() {
        let size = future_size(run);
        assert!(size <= 1536, "{size} bytes");
    }
}
