//! A server of few words on a real socket.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::SinkExt as _;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ocpp::{Peer, Received, Version};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use url::Url;
use yawc::close::CloseCode;
use yawc::{Frame, HttpWebSocket, OpCode, Options, WebSocket};

/// What came in, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// A handshake: path, and the headers a charger is known by.
    Handshake {
        path: String,
        authorization: Option<String>,
        protocol: Option<String>,
        extensions: Option<String>,
    },
    /// A call: connection, charger's path, action, payload.
    Call(usize, String, String, Value),
}

/// What becomes of a call.
pub enum Reaction {
    Answer(Value),
    /// The line goes before the answer.
    HangUp,
    /// The line is closed with this code instead of an answer.
    Close(u16),
}

type React = Box<dyn FnMut(&str, &Value) -> Option<Reaction> + Send>;
type Asked = (String, Value, oneshot::Sender<Value>);

struct Inner {
    seen: Mutex<Vec<Seen>>,
    react: Mutex<React>,
    /// Status and `Retry-After` of the handshakes that are refused, and how many still are.
    refuse: Mutex<(u16, u32, usize)>,
    asks: Mutex<Option<mpsc::Sender<Asked>>>,
}

/// Runs until the test ends.
#[derive(Clone)]
pub struct FakeServer {
    inner: Arc<Inner>,
    pub url: Url,
}

impl FakeServer {
    /// Starts one. `react` decides; where it returns `None` the call is answered as it should be.
    pub async fn start(
        react: impl FnMut(&str, &Value) -> Option<Reaction> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/ocpp", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let inner = Arc::new(Inner {
            seen: Mutex::new(Vec::new()),
            react: Mutex::new(Box::new(react)),
            refuse: Mutex::new((0, 0, 0)),
            asks: Mutex::new(None),
        });
        let server = Self { inner, url };
        let serving = server.clone();
        tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let server = serving.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let response = server.clone().upgrade(request, connection);
                        std::future::ready(Ok::<_, Infallible>(response))
                    });
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http
                        .serve_connection(TokioIo::new(stream), service)
                        .with_upgrades()
                        .await;
                });
            }
        });
        server
    }

    fn upgrade(self, mut request: Request<Incoming>, connection: usize) -> Response<Empty<Bytes>> {
        let header = |name: &str| {
            let value = request.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let path = request.uri().path().to_owned();
        let handshake = Seen::Handshake {
            path: path.clone(),
            authorization: header("authorization"),
            protocol: header("sec-websocket-protocol"),
            extensions: header("sec-websocket-extensions"),
        };
        self.inner.seen.lock().unwrap().push(handshake);
        if path.ends_with("/stranger") {
            let mut response = Response::new(Empty::new());
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        }
        if let Some((status, retry_after)) = self.refusal() {
            let mut response = Response::new(Empty::new());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            let headers = response.headers_mut();
            headers.insert("retry-after", retry_after.into());
            return response;
        }
        let options = Options::default().with_low_latency_compression();
        let options = options
            .client_no_context_takeover()
            .server_no_context_takeover();
        let (mut response, upgrade) =
            WebSocket::upgrade_with_options(&mut request, options).unwrap();
        let protocol = http::HeaderValue::from_static("ocpp1.6");
        response
            .headers_mut()
            .insert("sec-websocket-protocol", protocol);
        tokio::spawn(async move {
            if let Ok(socket) = upgrade.await {
                self.serve(socket, path, connection).await;
            }
        });
        response
    }

    /// What the next handshake is refused with, if it is.
    fn refusal(&self) -> Option<(u16, u32)> {
        let (status, retry_after, left) = &mut *self.inner.refuse.lock().unwrap();
        let refused = *left > 0;
        *left = left.saturating_sub(1);
        refused.then_some((*status, *retry_after))
    }

    async fn serve(self, mut socket: HttpWebSocket, path: String, connection: usize) {
        let (asks, mut asked) = mpsc::channel::<Asked>(4);
        *self.inner.asks.lock().unwrap() = Some(asks);
        let mut peer = Peer::<oneshot::Sender<Value>>::new(Version::V16);
        let (mut ids, mut transactions) = (0, i64::try_from(connection).unwrap() * 1000);
        loop {
            let far = tokio::time::Instant::now() + std::time::Duration::from_mins(1);
            let frame = tokio::select! {
                frame = socket.next_frame() => frame,
                Some((action, payload, answer)) = asked.recv() => {
                    ids += 1;
                    let frame = peer.call(answer, format!("s{ids}"), &action, &payload, far.into());
                    socket.send(Frame::text(frame.unwrap().unwrap())).await.unwrap();
                    continue;
                }
            };
            let Ok(frame) = frame else { return };
            if frame.opcode() != OpCode::Text {
                continue;
            }
            match peer.receive(frame.as_str(), std::time::Instant::now()) {
                Received::Call(call) => {
                    let payload: Value = serde_json::from_str(call.payload).unwrap();
                    let reaction = (self.inner.react.lock().unwrap())(&call.action, &payload);
                    let seen =
                        Seen::Call(connection, path.clone(), call.action.to_string(), payload);
                    self.inner.seen.lock().unwrap().push(seen);
                    let conf = match reaction {
                        Some(Reaction::HangUp) => return,
                        Some(Reaction::Close(code)) => {
                            let close = Frame::close(CloseCode::from(code), "elsewhere, please");
                            let _ = socket.send(close).await;
                            return;
                        }
                        Some(Reaction::Answer(conf)) => conf,
                        None => proper(&call.action, &mut transactions),
                    };
                    let answer = peer.answer(call.ticket, &conf);
                    if socket.send(Frame::text(answer)).await.is_err() {
                        return;
                    }
                }
                Received::Answered { token, result, .. } => {
                    let conf = serde_json::from_str(result.expect("an answer")).unwrap();
                    let _ = token.send(conf);
                }
                odd => panic!("{odd:?}"),
            }
        }
    }

    /// Refuses so many handshakes from now on, with this status and this many seconds of
    /// `Retry-After`.
    pub fn refuse(&self, status: u16, retry_after: u32, handshakes: usize) {
        *self.inner.refuse.lock().unwrap() = (status, retry_after, handshakes);
    }

    /// How many handshakes came in so far.
    pub fn handshakes(&self) -> usize {
        let seen = self.seen();
        let handshakes = seen
            .iter()
            .filter(|it| matches!(it, Seen::Handshake { .. }));
        handshakes.count()
    }

    /// Everything that came in so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.inner.seen.lock().unwrap().clone()
    }

    /// The payloads of an action's calls so far, each with its connection.
    pub fn calls(&self, action: &str) -> Vec<(usize, Value)> {
        let seen = self.seen().into_iter().filter_map(|seen| match seen {
            Seen::Call(connection, _, called, payload) if called == action => {
                Some((connection, payload))
            }
            _ => None,
        });
        seen.collect()
    }

    /// Asks something over the newest line.
    pub async fn ask(&self, action: &str, payload: Value) -> Value {
        let asks = self.inner.asks.lock().unwrap().clone().expect("a line");
        let (answer, answered) = oneshot::channel();
        asks.send((action.to_owned(), payload, answer))
            .await
            .expect("a line");
        answered.await.expect("every call is answered")
    }

    /// Waits until something is so; a test that waits for ever is a failed one.
    pub async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let wait = async {
            while !is_so(self) {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(30), wait).await;
        waited.unwrap_or_else(|_| panic!("it never was; seen: {:#?}", self.seen()));
    }
}

fn proper(action: &str, transactions: &mut i64) -> Value {
    let now = "2026-11-21T08:00:00Z";
    match action {
        "BootNotification" => json!({"status": "Accepted", "currentTime": now, "interval": 300}),
        "Heartbeat" => json!({"currentTime": now}),
        "Authorize" => json!({"idTagInfo": {"status": "Accepted"}}),
        "StartTransaction" => {
            *transactions += 1;
            json!({"idTagInfo": {"status": "Accepted"}, "transactionId": *transactions})
        }
        _ => json!({}),
    }
}
