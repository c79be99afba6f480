//! A server's REST API: enters stations, so that a load has somewhere to connect to, and reads what
//! came of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use url::Url;

use crate::StationPlan;

/// Connections that enter stations side by side.
const CONNECTIONS: usize = 16;

/// An answer longer than this is none of ours. The longest is a page of 500 events.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// How long reading goes on where no server answers, or all are busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two attempts to read.
const PAUSE: Duration = Duration::from_millis(200);

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

/// Reads from servers of one network: from one, and from the next where that does not answer.
#[derive(Debug)]
pub(crate) struct Reader {
    servers: Vec<Api>,
    next: usize,
    connection: Option<Connection>,
}

impl Reader {
    /// Begins with one of the servers; `turn` says which.
    pub(crate) fn new(servers: &[Api], turn: usize) -> Self {
        Self {
            servers: servers.to_vec(),
            next: turn,
            connection: None,
        }
    }

    /// What is at a path under `/api/v1`; nothing where there is nothing.
    pub(crate) async fn get<T: DeserializeOwned>(
        &mut self,
        path: &str,
    ) -> Result<Option<T>, RestError> {
        let path = format!("/api/v1{path}");
        let begun = Instant::now();
        loop {
            let error = match self.try_get(&path).await {
                Ok((StatusCode::NOT_FOUND, _)) => return Ok(None),
                Ok((_, body)) => {
                    let read = serde_json::from_slice(&body).map(Some);
                    return read.map_err(|error| RestError::Answer(error.to_string()));
                }
                Err(error) if !error.may_pass() || begun.elapsed() > PATIENCE => return Err(error),
                Err(error) => error,
            };
            tracing::debug!(%error, path, "read again");
            self.connection = None;
            self.next += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn try_get(&mut self, path: &str) -> Result<(StatusCode, Bytes), RestError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            empty => {
                let api = &self.servers[self.next % self.servers.len()];
                empty.insert(Connection::open(api).await?)
            }
        };
        let none = [StatusCode::NOT_FOUND];
        connection.exchange(Method::GET, path, None, &none).await
    }
}

impl RestError {
    /// Whether another server, or the same a little later, may do better.
    fn may_pass(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Exchange(_) => true,
            Self::Refused { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Address(_) | Self::Answer(_) => false,
        }
    }
}

#[derive(Debug)]
struct Connection {
    api: Api,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    async fn open(api: &Api) -> Result<Self, RestError> {
        let host = api.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, api.port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Its errors come out of the requests; it ends when the sender is dropped.
        tokio::spawn(connection);
        let api = api.clone();
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
        let exchange = self.exchange(method, path, Some(body), also_fine);
        exchange.await.map(|(status, _)| status)
    }

    async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        also_fine: &[StatusCode],
    ) -> Result<(StatusCode, Bytes), RestError> {
        let mut request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header(header::HOST, format!("{}:{}", self.api.host, self.api.port))
            .header(header::AUTHORIZATION, &self.api.authorization);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request
            .body(Full::from(body))
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
            return Ok((status, body));
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
