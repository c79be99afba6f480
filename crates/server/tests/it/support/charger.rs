//! A charger: one end of a WebSocket, saying exactly what a story has it say.
//!
//! It is not the simulator: it has no will of its own, and can do everything wrong.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::SinkExt as _;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use yawc::close::CloseCode;
use yawc::{CompressionLevel, Frame, OpCode, Options, Role, WebSocket, WebSocketError};

use super::PATIENCE;

/// Largest answer's head that is read.
const MAX_HEAD: usize = 16 * 1024;

/// How a charger is going to connect.
#[derive(Clone)]
pub struct Spec {
    server: SocketAddr,
    path: String,
    credentials: Option<(String, Vec<u8>)>,
    id: String,
    protocols: Option<String>,
    deflate: bool,
}

/// What the server answered to the handshake.
pub struct Knock {
    pub status: u16,
    pub headers: HeaderMap,
    /// The text of a refusal.
    pub body: String,
    stream: TcpStream,
    deflate: bool,
}

/// A connected charger.
pub struct Charger {
    pub id: String,
    socket: WebSocket<TcpStream>,
    /// Calls of the server that came while something else was awaited.
    calls: VecDeque<ServerCall>,
    next_id: u32,
    closed_with: Option<Ended>,
}

/// A call of the server.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerCall {
    pub id: String,
    pub action: String,
    pub payload: Value,
}

/// A CALLERROR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: String,
    pub description: String,
}

/// The end of a connection, as the server told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With a close frame: its code and reason.
    Closed(u16, String),
    /// Without a word.
    Broken,
}

impl Spec {
    pub fn new(server: SocketAddr, id: &str) -> Self {
        Self {
            server,
            path: format!("/ocpp/{id}"),
            credentials: None,
            id: id.to_owned(),
            protocols: Some("ocpp1.6".to_owned()),
            deflate: false,
        }
    }

    /// The same charger, at another server.
    #[must_use]
    pub fn at(&self, server: SocketAddr) -> Self {
        Self {
            server,
            ..self.clone()
        }
    }

    /// With this password; the user name is the identity.
    #[must_use]
    pub fn password(self, password: impl AsRef<[u8]>) -> Self {
        let user = self.id.clone();
        self.credentials(&user, password)
    }

    #[must_use]
    pub fn credentials(mut self, user: &str, password: impl AsRef<[u8]>) -> Self {
        self.credentials = Some((user.to_owned(), password.as_ref().to_vec()));
        self
    }

    /// Offering these versions, the best liked first; an empty text offers none at all.
    #[must_use]
    pub fn protocols(mut self, protocols: &str) -> Self {
        self.protocols = (!protocols.is_empty()).then(|| protocols.to_owned());
        self
    }

    /// At this path instead of `/ocpp/{id}`.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// Offering permessage-deflate.
    #[must_use]
    pub fn deflate(mut self) -> Self {
        self.deflate = true;
        self
    }

    /// Sends the handshake, and reads the answer.
    pub async fn knock(&self) -> Knock {
        self.try_knock().await.expect("the server answers")
    }

    /// The same; `None` when the server is not there.
    pub async fn try_knock(&self) -> Option<Knock> {
        let mut stream = TcpStream::connect(self.server).await.ok()?;
        stream.set_nodelay(true).ok()?;
        stream.write_all(self.request().as_bytes()).await.ok()?;
        let (status, headers) = timeout(PATIENCE, read_head(&mut stream)).await.ok()??;
        let mut body = String::new();
        if status != 101 {
            let length = headers.get("content-length")?.to_str().ok()?.parse().ok()?;
            let mut bytes = vec![0; length];
            stream.read_exact(&mut bytes).await.ok()?;
            body = String::from_utf8(bytes).ok()?;
        }
        Some(Knock {
            status,
            headers,
            body,
            stream,
            deflate: self.deflate,
        })
    }

    /// Connects.
    pub async fn connect(&self) -> Charger {
        self.try_connect().await.expect("the server lets it in")
    }

    /// Connects; `None` when the server is not there or refuses.
    pub async fn try_connect(&self) -> Option<Charger> {
        let knock = self.try_knock().await?;
        (knock.status == 101).then(|| knock.charger(&self.id))
    }

    fn request(&self) -> String {
        let mut request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            self.path, self.server
        );
        if let Some(protocols) = &self.protocols {
            let _ = write!(request, "Sec-WebSocket-Protocol: {protocols}\r\n");
        }
        if self.deflate {
            request += "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
        }
        if let Some((user, password)) = &self.credentials {
            let pair = [user.as_bytes(), b":", password].concat();
            let encoded = BASE64_STANDARD.encode(pair);
            let _ = write!(request, "Authorization: Basic {encoded}\r\n");
        }
        request + "\r\n"
    }
}

/// Reads an answer's head, and not a byte more.
async fn read_head(stream: &mut TcpStream) -> Option<(u16, HeaderMap)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert!(head.len() < MAX_HEAD, "the head does not end");
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let pairs = lines.filter_map(|line| line.split_once(": "));
    let pairs = pairs.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    Some((status, pairs.collect()))
}

impl Knock {
    /// A header's text, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The bare stream, for one that does not keep to the protocol.
    pub fn stream(self) -> TcpStream {
        assert_eq!(self.status, 101, "{}", self.body);
        self.stream
    }

    /// The charger that was let in.
    pub fn charger(self, id: &str) -> Charger {
        assert_eq!(self.status, 101, "{}", self.body);
        let mut options = Options::default();
        if self.deflate {
            options = options.with_compression_level(CompressionLevel::default());
        }
        let extensions = self.headers.get("sec-websocket-extensions");
        let extensions = extensions.map(|value| value.to_str().unwrap().to_owned());
        let socket = WebSocket::from_stream_with_extensions(
            self.stream,
            Role::Client,
            extensions.as_deref(),
            options,
        );
        Charger {
            id: id.to_owned(),
            socket: socket.unwrap(),
            calls: VecDeque::new(),
            next_id: 1,
            closed_with: None,
        }
    }
}

/// What it says.
impl Charger {
    /// Boots, and is accepted.
    pub async fn boot(&mut self) -> Value {
        let told = json!({"chargePointVendor": "Acme", "chargePointModel": "Wallbox 22"});
        let conf = self.call("BootNotification", told).await;
        assert_eq!(conf["status"], "Accepted");
        conf
    }

    /// Reports a status.
    pub async fn status(&mut self, connector: i64, status: &str) {
        let told = json!({"connectorId": connector, "status": status, "errorCode": "NoError"});
        self.call("StatusNotification", told).await;
    }

    /// Begins a transaction, and gives its id.
    pub async fn start(&mut self, connector: i64, id_tag: &str, meter: i64, at: &str) -> i64 {
        let told = json!({
            "connectorId": connector, "idTag": id_tag, "meterStart": meter, "timestamp": at,
        });
        let conf = self.call("StartTransaction", told).await;
        conf["transactionId"].as_i64().expect("a number")
    }

    /// Ends a transaction.
    pub async fn stop(&mut self, transaction: i64, meter: i64, at: &str) -> Value {
        let told = json!({"transactionId": transaction, "meterStop": meter, "timestamp": at});
        self.call("StopTransaction", told).await
    }

    /// Sends where the energy register stands.
    pub async fn meter(&mut self, connector: i64, transaction: i64, energy: i64, at: &str) {
        let told = json!({
            "connectorId": connector,
            "transactionId": transaction,
            "meterValue": [{"timestamp": at, "sampledValue": [{"value": energy.to_string()}]}],
        });
        self.call("MeterValues", told).await;
    }

    /// Calls, and gives the result. A CALLERROR is a failure.
    pub async fn call(&mut self, action: &str, payload: Value) -> Value {
        let result = self.try_call(action, payload).await;
        result.unwrap_or_else(|refusal| panic!("{}: {action} refused: {refusal:?}", self.id))
    }

    /// Calls, and gives the result or the error.
    pub async fn try_call(&mut self, action: &str, payload: Value) -> Result<Value, Refusal> {
        let id = self.send_call(action, payload).await;
        self.answer_to(&id).await
    }

    /// Sends a call without waiting for its answer, and gives its id.
    pub async fn send_call(&mut self, action: &str, payload: Value) -> String {
        let id = format!("{}-{}", self.id, self.next_id);
        self.next_id += 1;
        self.send(json!([2, id, action, payload])).await;
        id
    }

    /// Sends JSON.
    pub async fn send(&mut self, frame: Value) {
        self.send_text(frame.to_string()).await;
    }

    /// Sends a text frame.
    pub async fn send_text(&mut self, text: impl Into<bytes::Bytes>) {
        self.send_frame(Frame::text(text)).await;
    }

    /// Sends any frame.
    pub async fn send_frame(&mut self, frame: Frame) {
        // A server that closed meanwhile is noticed by reading.
        let _ = timeout(PATIENCE, self.socket.send(frame)).await;
    }

    /// Answers a call of the server.
    pub async fn answer(&mut self, call: &ServerCall, conf: Value) {
        self.send(json!([3, call.id, conf])).await;
    }

    /// Refuses a call of the server.
    pub async fn refuse(&mut self, call: &ServerCall, code: &str, description: &str) {
        self.send(json!([4, call.id, code, description, {}])).await;
    }
}

/// What it hears.
impl Charger {
    /// The next message, as JSON.
    pub async fn receive(&mut self) -> Value {
        let received = self.try_receive().await;
        received.unwrap_or_else(|ended| panic!("{}: {ended:?}", self.id))
    }

    /// The next message, or the end of the connection. Pings are answered on the way.
    pub async fn try_receive(&mut self) -> Result<Value, Ended> {
        loop {
            let frame = timeout(PATIENCE, self.socket.next_frame()).await;
            let frame = frame.unwrap_or_else(|_| panic!("{}: nothing came", self.id));
            let frame = frame.map_err(|_| Ended::Broken)?;
            match frame.opcode() {
                OpCode::Text => return Ok(serde_json::from_str(frame.as_str()).unwrap()),
                OpCode::Close => return Err(ended(&frame)),
                _ => {}
            }
        }
    }

    /// The answer to the call of this id.
    pub async fn answer_to(&mut self, id: &str) -> Result<Value, Refusal> {
        let answer = self.try_answer_to(id).await;
        answer.unwrap_or_else(|ended| panic!("{}: {ended:?} instead of an answer", self.id))
    }

    /// The same, or the end of the connection.
    pub async fn try_answer_to(&mut self, id: &str) -> Result<Result<Value, Refusal>, Ended> {
        loop {
            let frame = self.try_receive().await?;
            if frame[0] == 2 {
                self.calls.push_back(server_call(&frame));
                continue;
            }
            assert_eq!(frame[1], id, "{frame}");
            return Ok(match frame[0].as_i64() {
                Some(3) => Ok(frame[2].clone()),
                _ => Err(Refusal {
                    code: frame[2].as_str().unwrap().to_owned(),
                    description: frame[3].as_str().unwrap().to_owned(),
                }),
            });
        }
    }

    /// Calls; false when the connection ended instead of an answer, and then
    /// [`closed_with`](Self::closed_with) tells how.
    pub async fn try_call_until_closed(&mut self, action: &str, payload: Value) -> bool {
        let id = self.send_call(action, payload).await;
        match self.try_answer_to(&id).await {
            Ok(_) => true,
            Err(ended) => {
                self.closed_with = Some(ended);
                false
            }
        }
    }

    /// How the connection ended, once it has.
    pub fn closed_with(&self) -> Option<&Ended> {
        self.closed_with.as_ref()
    }

    /// The server's next call.
    pub async fn next_call(&mut self) -> ServerCall {
        if let Some(call) = self.calls.pop_front() {
            return call;
        }
        let frame = self.receive().await;
        assert_eq!(frame[0], 2, "{frame}");
        server_call(&frame)
    }

    /// Listens for so long, answering pings, and hears nothing else.
    pub async fn idle(&mut self, time: Duration) {
        let heard = timeout(time, self.receive()).await;
        assert!(heard.is_err(), "{}: {heard:?}", self.id);
    }

    /// Waits for the end of the connection.
    pub async fn ended(&mut self) -> Ended {
        loop {
            if let Err(ended) = self.try_receive().await {
                return ended;
            }
        }
    }

    /// Closes the connection politely.
    pub async fn close(mut self) {
        self.send_frame(Frame::close(CloseCode::Normal, "")).await;
        self.ended().await;
    }

    /// The raw socket's next frame, whatever it is.
    pub async fn next_frame(&mut self) -> Result<Frame, WebSocketError> {
        let frame = timeout(PATIENCE, self.socket.next_frame()).await;
        frame.expect("nothing came")
    }
}

fn ended(frame: &Frame) -> Ended {
    let reason = frame.close_reason().ok().flatten().unwrap_or_default();
    let code = frame.close_code().map_or(1005, u16::from);
    Ended::Closed(code, reason.to_owned())
}

fn server_call(frame: &Value) -> ServerCall {
    ServerCall {
        id: frame[1].as_str().unwrap().to_owned(),
        action: frame[2].as_str().unwrap().to_owned(),
        payload: frame[3].clone(),
    }
}
