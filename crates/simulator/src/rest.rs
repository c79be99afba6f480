//! Enters stations over a server's REST API, so that a load has somewhere to connect to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use url::Url;

use crate::StationPlan;

/// Connections that enter stations side by side.
const CONNECTIONS: usize = 16;

/// An answer longer than this is none of ours.
const MAX_ANSWER: usize = 256 * 1024;

/// As much of an answer as an error repeats.
const MAX_SHOWN: usize = 300;

/// Why something could not be entered.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// The address cannot be used.
    #[error("{0} is no address of an API; http://host:port is (put a proxy before TLS)")]
    Address(Url),
    /// The connection failed.
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    /// The exchange failed.
    #[error("the exchange failed: {0}")]
    Exchange(#[from] hyper::Error),
    /// The answer could not be read.
    #[error("the answer could not be read: {0}")]
    Answer(String),
    /// The server refused.
    #[error("{method} {path} was answered with {status}: {body}")]
    Refused {
        /// What was tried.
        method: Method,
        /// On what.
        path: String,
        /// The answer.
        status: StatusCode,
        /// Its beginning.
        body: String,
    },
}

/// The API of one server.
#[derive(Clone, Debug)]
pub struct Api {
    host: String,
    port: u16,
    authorization: String,
}

impl Api {
    /// The API beside the endpoint for chargers: `ws://host:8081/ocpp` is served where
    /// `http://host:8081/api/v1` is. `token` is an operator's.
    pub fn beside(server: &Url, token: &str) -> Result<Self, RestError> {
        let plain = matches!(server.scheme(), "ws" | "http");
        match (server.host_str(), server.port_or_known_default()) {
            (Some(host), Some(port)) if plain => Ok(Self {
                host: host.to_owned(),
                port,
                authorization: format!("Bearer {token}"),
            }),
            _ => Err(RestError::Address(server.clone())),
        }
    }

    /// Enters stations, their passwords, and the cards of their visitors. What is there already is
    /// left as it is, except that the password is set. Tells how many stations are new.
    pub async fn enter(
        &self,
        stations: Vec<StationPlan>,
        tags: &[&str],
    ) -> Result<usize, RestError> {
        let mut connection = Connection::open(self).await?;
        for tag in tags {
            let path = format!("/api/v1/id-tags/{tag}");
            connection
                .ask(Method::PUT, &path, &json!({"status": "accepted"}), &[])
                .await?;
        }
        let stations = Arc::new(stations);
        let next = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for _ in 0..CONNECTIONS.min(stations.len()) {
            let (api, stations, next) = (self.clone(), stations.clone(), next.clone());
            workers.spawn(async move {
                let mut connection = Connection::open(&api).await?;
                let mut new = 0;
                while let Some(station) = stations.get(next.fetch_add(1, Relaxed)) {
                    new += usize::from(connection.enter(station).await?);
                }
                Ok::<usize, RestError>(new)
            });
        }
        let mut new = 0;
        while let Some(done) = workers.join_next().await {
            new += done.map_err(|error| RestError::Answer(error.to_string()))??;
        }
        Ok(new)
    }
}

struct Connection<'a> {
    api: &'a Api,
    sender: SendRequest<Full<Bytes>>,
}

impl<'a> Connection<'a> {
    async fn open(api: &'a Api) -> Result<Self, RestError> {
        let host = api.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, api.port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Its errors come out of the requests; it ends when the sender is dropped.
        tokio::spawn(connection);
        Ok(Self { api, sender })
    }

    /// Enters one station; true if it is new.
    async fn enter(&mut self, station: &StationPlan) -> Result<bool, RestError> {
        let evse = |connector: &crate::ConnectorPlan| {
            let connector = json!({"type": connector.kind, "max_power_w": connector.max_power_w});
            json!({"connectors": [connector]})
        };
        let body = json!({
            "id": station.id,
            "name": station.name,
            "evses": station.connectors.iter().map(evse).collect::<Vec<_>>(),
        });
        let conflict = [StatusCode::CONFLICT];
        let status = self
            .ask(Method::POST, "/api/v1/stations", &body, &conflict)
            .await?;
        if let Some(password) = &station.password {
            let path = format!("/api/v1/stations/{}/credentials", station.id);
            let body = json!({"password": password, "security_profile": 1});
            self.ask(Method::PUT, &path, &body, &[]).await?;
        }
        Ok(status != StatusCode::CONFLICT)
    }

    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: &Value,
        also_fine: &[StatusCode],
    ) -> Result<StatusCode, RestError> {
        let request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header(header::HOST, format!("{}:{}", self.api.host, self.api.port))
            .header(header::AUTHORIZATION, &self.api.authorization)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(body.to_string()))
            .map_err(|error| RestError::Answer(error.to_string()))?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        // Read to its end even if nobody wants it: the connection is used again.
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await;
        let body = body
            .map_err(|error| RestError::Answer(error.to_string()))?
            .to_bytes();
        if status.is_success() || also_fine.contains(&status) {
            return Ok(status);
        }
        let body = String::from_utf8_lossy(&body)
            .chars()
            .take(MAX_SHOWN)
            .collect();
        Err(RestError::Refused {
            method,
            path: path.to_owned(),
            status,
            body,
        })
    }
}
