//! A charger's end of the socket.

use std::net::Ipv4Addr;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::SinkExt as _;
use ocpp::Version;
use tokio::net::{TcpSocket, TcpStream};
use url::Url;
use yawc::close::CloseCode;
use yawc::{
    CompressionLevel, DeflatePool, Frame, HttpRequest, HttpRequestBuilder, OpCode, Options,
    TcpWebSocket, WebSocket, WebSocketError,
};

use self::overheard::{Heard, Overheard};

mod overheard;

/// The close code of a server that restarts, and wants its chargers elsewhere (RFC 6455's registry
/// of codes, 1012).
pub const SERVICE_RESTART: u16 = 1012;

/// TCP, TLS and the upgrade together. A server under a storm may take its time.
const DIAL_TIMEOUT: Duration = Duration::from_secs(20);

/// Socket buffers. A server's answers are some 100 bytes; thousands of lines share this process.
const READ_BUFFER: usize = 1_024;
const WRITE_BUFFER: usize = 512;

/// Compressors kept between messages, for the whole process: as many as may work at once.
const DEFLATE_POOL: usize = 16;

/// Below this, deflate costs time and saves nothing.
const COMPRESS_FROM: usize = 512;

/// How long a polite farewell may take.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// Opens lines to a server. Cheap to clone; clones share their compressors.
#[derive(Clone, Debug)]
pub struct Dialer {
    options: Options,
    abrupt: bool,
}

impl Default for Dialer {
    fn default() -> Self {
        let options = Options::default()
            .with_limits(
                ocpp::frame::MAX_FRAME_BYTES,
                2 * ocpp::frame::MAX_FRAME_BYTES,
            )
            .with_read_buffer_capacity(READ_BUFFER)
            .with_write_buffer_capacity(WRITE_BUFFER)
            .with_compression_level(CompressionLevel::fast())
            .with_compression_threshold(COMPRESS_FROM)
            .client_no_context_takeover()
            .server_no_context_takeover()
            .with_deflate_pool(DeflatePool::new(DEFLATE_POOL))
            .with_no_delay()
            .with_utf8();
        Self {
            options,
            abrupt: false,
        }
    }
}

/// Why there is no line, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The server answered the upgrade with a refusal.
    #[error("{}", refusal(*.status))]
    Refused {
        /// Its status.
        status: u16,
        /// When to come back, if it said so.
        retry_after: Option<Duration>,
    },
    /// Nothing came in time.
    #[error("the server did not answer in time")]
    TimedOut,
    /// The server closed the line.
    #[error("the server closed the line: {}", farewell(*.code, .reason))]
    Closed {
        /// The code, where it gave one.
        code: Option<u16>,
        /// Its words.
        reason: String,
    },
    /// The server refused a charger's boot.
    #[error("the boot was refused: {0}")]
    Boot(String),
    /// The address cannot be used.
    #[error("{0} is no address of a server; ws://host:port/ocpp is")]
    Address(Url),
    /// The socket failed.
    #[error("{0}")]
    Socket(WebSocketError),
}

impl From<WebSocketError> for LinkError {
    fn from(error: WebSocketError) -> Self {
        if error.is_closed() {
            Self::Closed {
                code: None,
                reason: "without a word".to_owned(),
            }
        } else {
            Self::Socket(error)
        }
    }
}

impl LinkError {
    /// When the server wants to be asked again, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::TimedOut
            | Self::Closed { .. }
            | Self::Boot(_)
            | Self::Address(_)
            | Self::Socket(_) => None,
        }
    }
}

fn refusal(status: u16) -> String {
    match status {
        401 => {
            "401: the password is wrong or missing; set ENCHUFE_CHARGER_PASSWORD or --password-file"
                .to_owned()
        }
        404 => "404: the server knows no such station; create it first".to_owned(),
        429 => "429: too many at once".to_owned(),
        503 => "503: the server has no room or is not ready".to_owned(),
        _ => format!("the server answered {status}"),
    }
}

fn farewell(code: Option<u16>, reason: &str) -> String {
    let code = code.map(|code| code.to_string()).unwrap_or_default();
    format!("{code} {reason}").trim().to_owned()
}

impl Dialer {
    /// Lines of this dialer vanish without a word when they are dropped, as they do in a power cut.
    /// It also leaves no port behind in `TIME_WAIT`, of which a load generator would run out.
    #[must_use]
    pub fn abrupt(self) -> Self {
        Self {
            abrupt: true,
            ..self
        }
    }

    /// Connects a charger: the identity goes into the path, the password into the header.
    pub async fn dial(
        &self,
        server: &Url,
        id: &str,
        password: Option<&[u8]>,
    ) -> Result<Link, LinkError> {
        self.dial_from(server, id, password, None).await
    }

    /// As [`Dialer::dial`], from a loopback address of its own to a server on this machine: one
    /// address has no more than some 28,000 ports. Elsewhere `source` means nothing.
    pub async fn dial_from(
        &self,
        server: &Url,
        id: &str,
        password: Option<&[u8]>,
        source: Option<Ipv4Addr>,
    ) -> Result<Link, LinkError> {
        let url = endpoint(server, id).ok_or_else(|| LinkError::Address(server.clone()))?;
        let request = request(id, password);
        tokio::time::timeout(DIAL_TIMEOUT, self.open(url, request, source))
            .await
            .unwrap_or(Err(LinkError::TimedOut))
    }

    async fn open(
        &self,
        url: Url,
        request: HttpRequestBuilder,
        source: Option<Ipv4Addr>,
    ) -> Result<Link, LinkError> {
        let options = self.options.clone();
        let heard = Heard::default();
        let opened = if url.scheme() == "wss" {
            let opening = WebSocket::connect(url).with_options(options);
            let opened = opening.with_request(request).await;
            opened.map(|socket| Link::Secure(Box::new(socket)))
        } else {
            let stream = Overheard::new(self.connect(&url, source).await?, &heard);
            let opening = WebSocket::handshake_with_request(url, stream, options, request);
            opening.await.map(Link::Plain)
        };
        match opened {
            Err(WebSocketError::InvalidStatusCode(status)) => Err(LinkError::Refused {
                status,
                retry_after: heard.retry_after(),
            }),
            opened => Ok(opened?),
        }
    }

    async fn connect(&self, url: &Url, source: Option<Ipv4Addr>) -> Result<TcpStream, LinkError> {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(LinkError::Address(url.clone()));
        };
        // `host_str` keeps the brackets of an IPv6 address, which a resolver does not know.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let connected = match (source, host.parse::<Ipv4Addr>()) {
            (Some(source), Ok(host)) if host.is_loopback() => from(source, host, port).await,
            _ => TcpStream::connect((host, port)).await,
        };
        let stream = connected.map_err(WebSocketError::from)?;
        let set = stream.set_nodelay(true);
        let set = if self.abrupt {
            set.and_then(|()| stream.set_zero_linger())
        } else {
            set
        };
        set.map_err(WebSocketError::from)?;
        Ok(stream)
    }
}

async fn from(source: Ipv4Addr, host: Ipv4Addr, port: u16) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // A machine without further loopback addresses chooses itself, and has fewer ports.
    let _ = socket.bind((source, 0).into());
    socket.connect((host, port).into()).await
}

/// `ws://host/ocpp` and `CP 1` make `ws://host/ocpp/CP%201`.
fn endpoint(server: &Url, id: &str) -> Option<Url> {
    if !matches!(server.scheme(), "ws" | "wss") || server.host_str().is_none() {
        return None;
    }
    let mut url = server.clone();
    url.path_segments_mut().ok()?.pop_if_empty().push(id);
    Some(url)
}

fn request(id: &str, password: Option<&[u8]>) -> HttpRequestBuilder {
    let request =
        HttpRequest::builder().header("Sec-WebSocket-Protocol", Version::V16.subprotocol());
    let Some(password) = password else {
        return request;
    };
    // The password may be raw bytes that are no text (OCPP 1.6 security whitepaper §2.3).
    let pair = [id.as_bytes(), b":", password].concat();
    request.header(
        "Authorization",
        format!("Basic {}", BASE64_STANDARD.encode(pair)),
    )
}

/// A line to the server.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the usual one; thousands are not to be allocated twice"
)]
pub enum Link {
    /// As `ws://`.
    Plain(WebSocket<Overheard<TcpStream>>),
    /// As `wss://`. Its buffers for TLS would make every other line larger.
    Secure(Box<TcpWebSocket>),
}

impl Link {
    /// Sends one text.
    pub async fn send(&mut self, text: String) -> Result<(), LinkError> {
        Ok(self.send_frame(Frame::text(text)).await?)
    }

    /// The next text; pings are answered on the way. Nothing is lost when the wait is given up.
    pub async fn next(&mut self) -> Result<Frame, LinkError> {
        loop {
            let frame = self.next_frame().await?;
            match frame.opcode() {
                OpCode::Text => return Ok(frame),
                OpCode::Close => {
                    let code = frame.close_code().map(u16::from);
                    let reason = frame.close_reason().ok().flatten().unwrap_or_default();
                    let reason = if code.is_none() {
                        "without a reason".to_owned()
                    } else {
                        reason.to_string()
                    };
                    return Err(LinkError::Closed { code, reason });
                }
                OpCode::Ping | OpCode::Pong | OpCode::Binary | OpCode::Continuation => {}
            }
        }
    }

    /// Says goodbye; then the line is to be dropped.
    pub async fn farewell(&mut self) {
        let farewell = async {
            let close = Frame::close(CloseCode::Normal, "");
            self.send_frame(close).await?;
            while self.next_frame().await?.opcode() != OpCode::Close {}
            Ok::<(), WebSocketError>(())
        };
        // A server that does not answer loses nothing: the line is dropped all the same.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, farewell).await;
    }

    async fn send_frame(&mut self, frame: Frame) -> Result<(), WebSocketError> {
        match self {
            Self::Plain(socket) => socket.send(frame).await,
            Self::Secure(socket) => socket.send(frame).await,
        }
    }

    async fn next_frame(&mut self) -> Result<Frame, WebSocketError> {
        match self {
            Self::Plain(socket) => socket.next_frame().await,
            Self::Secure(socket) => socket.next_frame().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_is_the_last_part_of_the_path() {
        let check = |server: &str, id: &str, expect: &str| {
            let url = endpoint(&server.parse().unwrap(), id);
            assert_eq!(url.map(String::from).as_deref().unwrap_or("none"), expect);
        };
        check("ws://h:1/ocpp", "CP-1", "ws://h:1/ocpp/CP-1");
        check("ws://h:1/ocpp/", "CP-1", "ws://h:1/ocpp/CP-1");
        check("wss://h", "CP 1/a", "wss://h/CP%201%2Fa");
        check("http://h/ocpp", "CP-1", "none");
        check("mailto:me@h", "CP-1", "none");
    }

    #[test]
    fn a_password_may_be_any_bytes() {
        let request = request("CP-1", Some(&[0xff, 0x00])).body(()).unwrap();
        let header = request.headers()["authorization"].to_str().unwrap();
        let sent = BASE64_STANDARD
            .decode(header.strip_prefix("Basic ").unwrap())
            .unwrap();
        assert_eq!(sent, b"CP-1:\xff\x00");
    }
}
