//! The doors of a running server, and who goes through them.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::charger::Spec;
use super::{Client, eventually};

/// The administrator's token of every test server.
pub const ADMIN_TOKEN: &str = "admin-token-of-the-tests";
/// The scraper's token of every test server.
pub const METRICS_TOKEN: &str = "metrics-token-of-the-tests";

/// Where a server is reached, and with what.
pub struct Access {
    /// The API's and the chargers' address.
    pub address: SocketAddr,
    /// The scraper's.
    pub metrics_address: SocketAddr,
    anonymous: Client,
    operator: Client,
    viewer: Client,
}

impl Access {
    /// Makes tokens for the roles below the administrator.
    pub async fn open(address: SocketAddr, metrics_address: SocketAddr) -> Self {
        let anonymous = Client::anonymous(format!("http://{address}"));
        let admin = anonymous.bearing(ADMIN_TOKEN);
        let make = async |role: &str| {
            let body = json!({"name": role, "role": role});
            let made = admin.post("tokens", body).await.expect(201);
            anonymous.bearing(made["token"].as_str().unwrap())
        };
        let (operator, viewer) = (make("operator").await, make("viewer").await);
        Self {
            address,
            metrics_address,
            anonymous,
            operator,
            viewer,
        }
    }

    /// One without a token.
    pub fn anonymous(&self) -> Client {
        self.anonymous.clone()
    }

    pub fn viewer(&self) -> Client {
        self.viewer.clone()
    }

    pub fn operator(&self) -> Client {
        self.operator.clone()
    }

    pub fn admin(&self) -> Client {
        self.anonymous.bearing(ADMIN_TOKEN)
    }

    /// The charger of a station, not yet connected.
    pub fn charger(&self, id: &str) -> Spec {
        Spec::new(self.address, id)
    }

    /// Enters a station of one EVSE and one connector, and gives it back.
    pub async fn enter(&self, id: &str) -> Value {
        self.enter_with(id, json!([])).await
    }

    /// Enters a station with these EVSEs (`[{"connectors":[{"max_power_w":22000}]}]`).
    pub async fn enter_with(&self, id: &str, evses: Value) -> Value {
        let body = json!({"id": id, "name": id, "evses": evses});
        self.operator().post("stations", body).await.expect(201)
    }

    /// Lets a tag charge.
    pub async fn accept_tag(&self, uid: &str) {
        let body = json!({"status": "accepted"});
        let path = format!("id-tags/{uid}");
        self.operator().put(&path, body).await.ok();
    }

    /// A station as the API shows it.
    pub async fn station(&self, id: &str) -> Value {
        self.viewer().get(&format!("stations/{id}")).await.ok()
    }

    /// Waits until a field of a station has a value, and gives the station.
    pub async fn station_when(&self, id: &str, field: &str, value: impl Into<Value>) -> Value {
        let value = value.into();
        let what = format!("{field} of {id} is {value}");
        eventually(&what, async || {
            let station = self.station(id).await;
            (station[field] == value).then_some(station)
        })
        .await
    }

    /// Gives a station's charger a command, and waits for the outcome.
    pub async fn order(&self, id: &str, command: &str, parameters: Value) -> Value {
        let path = format!("stations/{id}/commands?wait=20");
        let body = json!({"command": command, "parameters": parameters});
        self.operator().post(&path, body).await.expect(200)
    }

    /// Gives a station's charger a command without waiting, and gives the command's id.
    pub async fn order_soon(&self, id: &str, command: &str, parameters: Value) -> String {
        let path = format!("stations/{id}/commands");
        let body = json!({"command": command, "parameters": parameters});
        let taken_on = self.operator().post(&path, body).await.expect(202);
        taken_on["id"].as_str().unwrap().to_owned()
    }

    /// Waits until a command has ended.
    pub async fn ended_command(&self, id: &str) -> Value {
        eventually("the command has ended", async || {
            let command = self.viewer().get(&format!("commands/{id}")).await.ok();
            (!command["outcome"].is_null()).then_some(command)
        })
        .await
    }

    /// A station's sessions, newest first.
    pub async fn sessions(&self, id: &str) -> Vec<Value> {
        let path = format!("sessions?station_id={id}&limit=500");
        let page = self.viewer().get(&path).await.ok();
        page["sessions"].as_array().unwrap().clone()
    }

    /// A station's only session, with its meter values.
    pub async fn only_session(&self, id: &str) -> Value {
        let sessions = self.sessions(id).await;
        assert_eq!(sessions.len(), 1, "{sessions:?}");
        let path = format!("sessions/{}", sessions[0]["id"].as_str().unwrap());
        self.viewer().get(&path).await.ok()
    }

    /// A station's history, newest first: all of it.
    pub async fn history(&self, id: &str) -> Vec<Value> {
        let (mut events, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("stations/{id}/events?limit=500{cursor}");
            let page = self.viewer().get(&path).await.ok();
            events.extend(page["events"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return events,
            }
        }
    }

    /// How often an event of a kind is in a station's history.
    pub async fn count_events(&self, id: &str, kind: &str) -> usize {
        let history = self.history(id).await;
        history.iter().filter(|event| event["type"] == kind).count()
    }

    /// What the scraper sees.
    pub async fn metrics(&self) -> Metrics {
        let scraper = Client::anonymous(format!("http://{}", self.metrics_address));
        let answer = scraper.bearing(METRICS_TOKEN).get("/metrics").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        Metrics(answer.text)
    }

    /// Waits until a metric counts so many.
    pub async fn count_when(&self, name: &str, count: i64) {
        let what = format!("{name} is {count}");
        eventually(&what, async || {
            let now = self.metrics().await.count(name, &[]);
            (now == count).then_some(())
        })
        .await;
    }
}

/// Metrics in the Prometheus text format.
pub struct Metrics(pub String);

impl Metrics {
    /// The value of the series written so (`name{label="value"}`, labels as they stand in the
    /// text); 0 when there is none.
    pub fn value(&self, series: &str) -> f64 {
        let samples = self.0.lines().filter_map(|line| line.rsplit_once(' '));
        let mut found = samples.filter(|(name, _)| *name == series);
        found
            .next()
            .map_or(0.0, |(_, value)| value.parse().unwrap())
    }

    /// The same sum of a metric that counts things.
    pub fn count(&self, name: &str, labels: &[&str]) -> i64 {
        let sum = self.sum(name, labels);
        // Written as text it is a whole number, or this is no count.
        sum.to_string().parse().expect("a count")
    }

    /// The sum over every series of a name whose labels contain all of these texts.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let samples = self.0.lines().filter_map(|line| line.rsplit_once(' '));
        let wanted = samples.filter(|(series, _)| {
            let (series, rest) = series.split_once('{').unwrap_or((series, ""));
            series == name && labels.iter().all(|label| rest.contains(label))
        });
        wanted.map(|(_, value)| value.parse::<f64>().unwrap()).sum()
    }
}
