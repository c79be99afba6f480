//! A charger's line under load: one call at a time, timed.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use ocpp::v16::{
    AvailabilityStatus, ChangeAvailabilityConf, ChangeConfigurationConf, ChargerConf,
    ClearCacheConf, ClearCacheStatus, ConfigurationStatus, DataTransferConf, DataTransferStatus,
    GetConfigurationConf, RemoteStartStopStatus, RemoteStartTransactionConf,
    RemoteStopTransactionConf, ResetConf, ResetStatus, ServerCall, TriggerMessageConf,
    TriggerMessageStatus, UnlockConnectorConf, UnlockStatus,
};
use ocpp::{CallError, Peer, Received, Version};
use serde::Serialize;
use yawc::Frame;

use super::servers::Seat;
use super::stats::{Action, Stats};
use crate::LinkError;
use crate::link::Link;

/// Longer than a server should ever take, and short enough to be noticed.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// An open line. It counts as connected for as long as it exists.
pub(super) struct Line {
    link: Link,
    seat: Seat,
    peer: Peer<()>,
    ids: u64,
    stats: Arc<Stats>,
    booted: bool,
}

impl Line {
    pub(super) fn new(link: Link, seat: Seat, stats: Arc<Stats>) -> Self {
        stats.connected().fetch_add(1, Relaxed);
        Self {
            link,
            seat,
            peer: Peer::new(Version::V16),
            ids: 0,
            stats,
            booted: false,
        }
    }

    /// Where it leads.
    pub(super) fn seat(&self) -> &Seat {
        &self.seat
    }

    /// The server has accepted the charger on this line.
    pub(super) fn booted(&mut self) {
        if !self.booted {
            self.booted = true;
            self.stats.booted().fetch_add(1, Relaxed);
        }
    }

    /// Sends a call.
    pub(super) async fn send(
        &mut self,
        action: Action,
        payload: &impl Serialize,
    ) -> Result<(), LinkError> {
        self.ids += 1;
        let deadline = Instant::now() + CALL_TIMEOUT;
        let id = self.ids.to_string();
        let frame = self.peer.call((), id, action.as_str(), payload, deadline);
        if let Ok(Some(frame)) = frame {
            self.stats.sent(action);
            self.link.send(frame).await?;
        }
        Ok(())
    }

    /// Makes a call and waits for its answer, of which `read` makes what is needed.
    pub(super) async fn call<R>(
        &mut self,
        action: Action,
        payload: &impl Serialize,
        read: impl Fn(&str) -> R,
    ) -> Result<Result<R, CallError>, LinkError> {
        let begun = Instant::now();
        self.send(action, payload).await?;
        let deadline = (begun + CALL_TIMEOUT).into();
        loop {
            let frame = tokio::time::timeout_at(deadline, self.link.next()).await;
            let frame = frame.map_err(|_| LinkError::TimedOut)??;
            let Some(result) = self.take(&frame, &read).await? else {
                continue;
            };
            match &result {
                Ok(_) => self.stats.answered(action, begun.elapsed()),
                Err(error) => self.stats.refused(action, &error.to_string()),
            }
            return Ok(result);
        }
    }

    /// Answers the server for ever. Nothing is lost when the wait is given up between two texts.
    pub(super) async fn listen(&mut self) -> LinkError {
        loop {
            let taken = match self.link.next().await {
                Ok(frame) => self.take(&frame, |_| ()).await,
                Err(error) => return error,
            };
            if let Err(error) = taken {
                return error;
            }
        }
    }

    async fn take<R>(
        &mut self,
        frame: &Frame,
        read: impl Fn(&str) -> R,
    ) -> Result<Option<Result<R, CallError>>, LinkError> {
        match self.peer.receive(frame.as_str(), Instant::now()) {
            Received::Answered { result, .. } => return Ok(Some(result.map(read))),
            Received::Call(call) => {
                self.stats.server_call();
                let answer = match ServerCall::parse(&call.action, call.payload) {
                    Ok(parsed) => self.peer.answer(call.ticket, &answer(&parsed.message)),
                    Err(error) => self.peer.refuse(call.ticket, &error),
                };
                self.link.send(answer).await?;
            }
            Received::Reply { frame, .. } => self.link.send(frame).await?,
            Received::Send { .. } | Received::Ignored(_) => {}
        }
        Ok(None)
    }

    /// Says goodbye.
    pub(super) async fn close(mut self) {
        self.link.farewell().await;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.stats.connected().fetch_sub(1, Relaxed);
        if self.booted {
            self.stats.booted().fetch_sub(1, Relaxed);
        }
    }
}

/// A polite answer that commits to nothing: a load of its own is running.
fn answer(call: &ServerCall) -> ChargerConf {
    let rejected = RemoteStartStopStatus::Rejected;
    match call {
        ServerCall::ChangeAvailability(_) => {
            let status = AvailabilityStatus::Rejected;
            ChargerConf::ChangeAvailability(ChangeAvailabilityConf { status })
        }
        ServerCall::ChangeConfiguration(_) => {
            let status = ConfigurationStatus::NotSupported;
            ChargerConf::ChangeConfiguration(ChangeConfigurationConf { status })
        }
        ServerCall::ClearCache(_) => {
            let status = ClearCacheStatus::Accepted;
            ChargerConf::ClearCache(ClearCacheConf { status })
        }
        ServerCall::DataTransfer(_) => {
            let status = DataTransferStatus::UnknownVendorId;
            ChargerConf::DataTransfer(DataTransferConf { status, data: None })
        }
        ServerCall::GetConfiguration(call) => ChargerConf::GetConfiguration(GetConfigurationConf {
            configuration_key: Vec::new(),
            unknown_key: call.key.clone(),
        }),
        ServerCall::RemoteStartTransaction(_) => {
            let conf = RemoteStartTransactionConf { status: rejected };
            ChargerConf::RemoteStartTransaction(conf)
        }
        ServerCall::RemoteStopTransaction(_) => {
            let conf = RemoteStopTransactionConf { status: rejected };
            ChargerConf::RemoteStopTransaction(conf)
        }
        ServerCall::Reset(_) => {
            let status = ResetStatus::Rejected;
            ChargerConf::Reset(ResetConf { status })
        }
        ServerCall::TriggerMessage(_) => {
            let status = TriggerMessageStatus::Rejected;
            ChargerConf::TriggerMessage(TriggerMessageConf { status })
        }
        ServerCall::UnlockConnector(_) => {
            let status = UnlockStatus::NotSupported;
            ChargerConf::UnlockConnector(UnlockConnectorConf { status })
        }
    }
}
