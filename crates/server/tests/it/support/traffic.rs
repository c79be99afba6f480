//! Chargers that charge without end, and remember what the server has acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::charger::Refusal;
use super::{Access, Charger, PATIENCE, eventually};

/// The energy of each of their charges.
const ENERGY: i64 = 5_000;
/// How long one waits before it dials again.
const REDIAL: Duration = Duration::from_millis(100);

/// Many chargers at work.
pub struct Traffic {
    chargers: JoinSet<Acknowledged>,
    acknowledged: Arc<AtomicUsize>,
    stop: CancellationToken,
}

/// What one charger was told is done.
#[derive(Debug, Default)]
pub struct Acknowledged {
    id: String,
    /// The marks of its status changes.
    statuses: Vec<String>,
    /// Transaction ids.
    starts: Vec<i64>,
    /// Transaction ids.
    stops: Vec<i64>,
    /// Transaction ids and readings.
    readings: Vec<(i64, i64)>,
    /// Starts that were told, whether they were acknowledged or not.
    starts_told: usize,
    /// What it should not have been told.
    refusals: Vec<(String, Refusal)>,
}

/// What a charger does when its connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnBreak {
    /// Nothing more.
    Stop,
    /// It connects again, and says again what was not acknowledged.
    Reconnect,
}

impl Traffic {
    /// Enters stations, and lets their chargers begin.
    pub async fn begin(access: &Access, chargers: usize, on_break: OnBreak) -> Self {
        access.accept_tag("TAG").await;
        let ids: Vec<_> = (0..chargers).map(|n| format!("CP-{n}")).collect();
        stream::iter(&ids)
            .for_each_concurrent(16, async |id| drop(access.enter(id).await))
            .await;
        let mut traffic = Self {
            chargers: JoinSet::new(),
            acknowledged: Arc::default(),
            stop: CancellationToken::new(),
        };
        for id in ids {
            let worker = Worker {
                spec: access.charger(&id),
                on_break,
                charger: None,
                done: Acknowledged {
                    id,
                    ..Acknowledged::default()
                },
                acknowledged: traffic.acknowledged.clone(),
                stop: traffic.stop.clone(),
            };
            traffic.chargers.spawn(worker.run());
        }
        traffic
    }

    /// How many messages were acknowledged so far.
    pub fn count(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until so many more messages were acknowledged.
    pub async fn flows(&self, more: usize) {
        let enough = self.count() + more;
        let what = format!("{more} more messages are acknowledged");
        eventually(&what, async || (self.count() >= enough).then_some(())).await;
    }

    /// Ends it, and tells what each charger was told.
    pub async fn end(mut self) -> Vec<Acknowledged> {
        self.stop.cancel();
        let mut all = Vec::new();
        while let Some(done) = self.chargers.join_next().await {
            all.push(done.unwrap());
        }
        all
    }
}

struct Worker {
    spec: super::charger::Spec,
    on_break: OnBreak,
    charger: Option<Charger>,
    done: Acknowledged,
    acknowledged: Arc<AtomicUsize>,
    stop: CancellationToken,
}

impl Worker {
    /// Charges until it is told to stop, or its connection breaks for good.
    async fn run(mut self) -> Acknowledged {
        // Each charge is an hour of its own, from a day that all of them are over.
        let mut hour = 0;
        while self.charge(hour).await.is_some() {
            hour += 1;
        }
        self.done
    }

    async fn charge(&mut self, hour: i64) -> Option<()> {
        let minute = |minute: i64| {
            let seconds = 1_760_000_000 + hour * 3_600 + minute * 60;
            jiff::Timestamp::from_second(seconds).unwrap().to_string()
        };
        let meter = hour * ENERGY;
        self.status("Preparing").await?;
        let start = json!({
            "connectorId": 1, "idTag": "TAG", "meterStart": meter, "timestamp": minute(0),
        });
        self.done.starts_told += 1;
        let conf = self.tell("StartTransaction", start).await?;
        let transaction = conf["transactionId"].as_i64().unwrap_or(-1);
        self.done.starts.push(transaction);
        self.status("Charging").await?;
        for (at, share) in [(20, ENERGY / 3), (40, ENERGY / 2)] {
            let told = json!({
                "connectorId": 1, "transactionId": transaction,
                "meterValue": [{
                    "timestamp": minute(at),
                    "sampledValue": [{"value": (meter + share).to_string()}],
                }],
            });
            self.tell("MeterValues", told).await?;
            self.done.readings.push((transaction, meter + share));
        }
        let stop = json!({
            "transactionId": transaction, "meterStop": meter + ENERGY, "timestamp": minute(59),
        });
        self.tell("StopTransaction", stop).await?;
        self.done.stops.push(transaction);
        self.status("Available").await
    }

    async fn status(&mut self, status: &str) -> Option<()> {
        let mark = format!("mark {}", self.done.statuses.len());
        let told = json!({
            "connectorId": 1, "status": status, "errorCode": "NoError", "info": mark,
        });
        self.tell("StatusNotification", told).await?;
        self.done.statuses.push(mark);
        Some(())
    }

    /// Tells something until it is acknowledged. `None` when this is the end.
    async fn tell(&mut self, action: &str, payload: Value) -> Option<Value> {
        loop {
            if self.stop.is_cancelled() {
                return None;
            }
            let Some(charger) = &mut self.charger else {
                self.dial().await?;
                continue;
            };
            let id = charger.send_call(action, payload.clone()).await;
            match charger.try_answer_to(&id).await {
                Ok(Ok(conf)) => {
                    self.acknowledged.fetch_add(1, Ordering::Relaxed);
                    return Some(conf);
                }
                Ok(Err(refusal)) => {
                    self.done.refusals.push((action.to_owned(), refusal));
                    return Some(Value::Null);
                }
                Err(_) if self.on_break == OnBreak::Stop => return None,
                Err(_) => self.charger = None,
            }
        }
    }

    async fn dial(&mut self) -> Option<()> {
        match self.spec.try_connect().await {
            Some(mut charger) => {
                let boot = charger.send_call("BootNotification", json!({})).await;
                if charger.try_answer_to(&boot).await.is_ok() {
                    self.charger = Some(charger);
                }
            }
            None if self.on_break == OnBreak::Stop => return None,
            None => tokio::time::sleep(REDIAL).await,
        }
        Some(())
    }
}

impl Acknowledged {
    /// Holds what the charger was told against what the server knows.
    pub async fn is_known_to(&self, access: &Access) {
        let id = &self.id;
        assert_eq!(self.refusals, [], "{id}");
        let history = access.history(id).await;
        let marks: Vec<_> = history
            .iter()
            .filter_map(|event| event["data"]["info"].as_str())
            .collect();
        for mark in &self.statuses {
            assert!(marks.contains(&mark.as_str()), "{id}: {mark} is lost");
        }
        let sessions = access.sessions(id).await;
        let session = |transaction: &i64| {
            let transaction = transaction.to_string();
            let mut found = sessions
                .iter()
                .filter(|s| s["transaction_id"] == transaction);
            let session = found.next();
            session.unwrap_or_else(|| panic!("{id}: transaction {transaction} is lost"))
        };
        for start in &self.starts {
            session(start);
        }
        // Each start made one session, however often it was told.
        assert!(sessions.len() <= self.starts_told, "{id}: {sessions:?}");
        for stop in &self.stops {
            let session = session(stop);
            assert_eq!(session["energy_wh"], ENERGY, "{id}: {session}");
            assert_eq!(session["billing_ready"], true, "{id}: {session}");
        }
        for start in &self.starts {
            let path = format!("sessions/{}", session(start)["id"].as_str().unwrap());
            let detail = access.viewer().get(&path).await.ok();
            let values = detail["meter_values"].as_array().unwrap();
            for (_, energy) in self.readings.iter().filter(|(of, _)| of == start) {
                let kept = values.iter().any(|value| value["energy_wh"] == *energy);
                assert!(kept, "{id}: reading {energy} of {start} is lost");
            }
        }
    }
}

/// Holds what all chargers were told against what the server knows, and that no two of them were
/// given the same transaction.
pub async fn all_known(all: &[Acknowledged], access: &Access) {
    let mut starts: Vec<i64> = all.iter().flat_map(|done| done.starts.clone()).collect();
    let given = starts.len();
    starts.sort_unstable();
    starts.dedup();
    assert_eq!(starts.len(), given, "a transaction id was given twice");
    assert!(given >= all.len(), "too little happened");
    let checks = stream::iter(all).for_each_concurrent(8, |done| done.is_known_to(access));
    let checked = tokio::time::timeout(PATIENCE * 3, checks).await;
    checked.expect("the server is too slow to be asked");
}
