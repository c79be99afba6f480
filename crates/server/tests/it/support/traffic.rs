//! Chargers that charge without end, and remember what the server has acknowledged.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;
use serde_json::{Value, json};
use simulator::load::{Action, Entry, Kind, Ledger, verify};
use simulator::rest::Api;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::charger::Refusal;
use super::{ADMIN_TOKEN, Access, Charger, PATIENCE, eventually};

/// The energy of each of their charges.
const ENERGY: i64 = 5_000;
/// How long one waits before it dials again.
const REDIAL: Duration = Duration::from_millis(100);

/// Many chargers at work.
pub struct Traffic {
    chargers: JoinSet<Acknowledged>,
    acknowledged: Arc<AtomicUsize>,
    stop: CancellationToken,
    doors: Doors,
}

/// Where chargers find the network: the addresses of its nodes, as a balancer has them.
#[derive(Clone, Default)]
pub struct Doors(Arc<Mutex<Vec<SocketAddr>>>);

impl Doors {
    /// Sends chargers to these from now on, each to the next one at each attempt.
    pub fn set(&self, addresses: &[SocketAddr]) {
        *self.0.lock().unwrap() = addresses.to_vec();
    }

    fn choose(&self, attempt: usize) -> SocketAddr {
        let addresses = self.0.lock().unwrap();
        addresses[attempt % addresses.len()]
    }
}

/// What one charger was told is done.
#[derive(Debug, Default)]
pub struct Acknowledged {
    id: String,
    /// What it told, in order; the last may not have been acknowledged.
    entries: Vec<Entry>,
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
            doors: Doors::default(),
        };
        traffic.doors.set(&[access.address]);
        for (attempt, id) in ids.into_iter().enumerate() {
            let worker = Worker {
                spec: access.charger(&id),
                doors: traffic.doors.clone(),
                attempt,
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

    /// Where its chargers find the network.
    pub fn doors(&self) -> &Doors {
        &self.doors
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
    doors: Doors,
    attempt: usize,
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
            Timestamp::from_second(seconds).unwrap()
        };
        let meter = hour * ENERGY;
        self.status("Preparing", minute(0)).await?;
        let start = json!({
            "connectorId": 1, "idTag": "TAG", "meterStart": meter,
            "timestamp": minute(0).to_string(),
        });
        let entry = self.entry(Action::Start, minute(0), meter, None);
        let conf = self.tell(entry, start).await?;
        let transaction = conf["transactionId"].as_i64().unwrap_or(-1);
        self.status("Charging", minute(1)).await?;
        for (at, share) in [(20, ENERGY / 3), (40, ENERGY / 2)] {
            let told = json!({
                "connectorId": 1, "transactionId": transaction,
                "meterValue": [{
                    "timestamp": minute(at).to_string(),
                    "sampledValue": [{"value": (meter + share).to_string()}],
                }],
            });
            let entry = self.entry(Action::Meter, minute(at), meter + share, Some(transaction));
            self.tell(entry, told).await?;
        }
        let stop = json!({
            "transactionId": transaction, "meterStop": meter + ENERGY,
            "timestamp": minute(59).to_string(),
        });
        let entry = self.entry(Action::Stop, minute(59), meter + ENERGY, Some(transaction));
        self.tell(entry, stop).await?;
        self.status("Available", minute(59)).await
    }

    async fn status(&mut self, status: &'static str, at: Timestamp) -> Option<()> {
        let mut entry = self.entry(Action::Status, at, 0, None);
        entry.status = Some(status.into());
        entry.energy_wh = None;
        let told = json!({
            "connectorId": 1, "status": status, "errorCode": "NoError", "info": entry.mark(),
        });
        self.tell(entry, told).await?;
        Some(())
    }

    fn entry(&self, action: Action, at: Timestamp, meter: i64, transaction: Option<i64>) -> Entry {
        Entry {
            charger: self.done.id.clone(),
            order: self.done.entries.len() as u64,
            acknowledged: false,
            action,
            connector: 1,
            timestamp: at,
            status: None,
            transaction_id: transaction,
            energy_wh: u64::try_from(meter).ok(),
        }
    }

    /// Tells something until it is acknowledged, and notes it. `None` when this is the end.
    async fn tell(&mut self, mut entry: Entry, payload: Value) -> Option<Value> {
        let answer = self.answer_to(entry.action.as_str(), &payload).await;
        entry.acknowledged = answer.is_some();
        if let (Action::Start, Some(conf)) = (entry.action, &answer) {
            entry.transaction_id = conf["transactionId"].as_i64();
        }
        self.done.entries.push(entry);
        answer
    }

    async fn answer_to(&mut self, action: &str, payload: &Value) -> Option<Value> {
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
        let door = self.doors.choose(self.attempt);
        self.attempt += 1;
        match self.spec.at(door).try_connect().await {
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

/// Holds what all chargers were told against what the server knows: nothing is missing, nothing is
/// there twice, and every ended session can be billed.
pub async fn all_known(all: &[Acknowledged], access: &Access) {
    let mut ledger = Ledger::default();
    for done in all {
        assert_eq!(done.refusals, [], "{}", done.id);
        done.entries
            .iter()
            .for_each(|entry| ledger.add(entry.clone()));
    }
    let url = format!("http://{}", access.address).parse().unwrap();
    let servers = [Api::beside(&url, ADMIN_TOKEN).unwrap()];
    let verdict = tokio::time::timeout(PATIENCE * 3, verify(&ledger, &servers, |_| ())).await;
    let verdict = verdict
        .expect("the server is too slow to be asked")
        .unwrap();
    assert!(verdict.is_good(), "{verdict}");
    assert_eq!(verdict.billable, verdict.of(Kind::End).found, "{verdict}");
    let begins = verdict.of(Kind::Begin).found;
    assert!(begins >= all.len() as u64, "too little happened: {verdict}");
}
