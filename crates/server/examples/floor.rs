//! Bare servers to hold the real one against: what axum and yawc do when nothing else is to be done.
//!
//! `floor STATION.json` serves, on a free port of the loopback interface, `/health` (a small JSON
//! body), `/station` (the file as a JSON body) and `/ocpp/{id}` (a WebSocket that sends every text
//! back), and prints its address. It ends with its standard input. See `cargo xtask bench`.

use std::net::Ipv4Addr;

use anyhow::Context as _;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use futures_util::SinkExt as _;
use http::{HeaderValue, header};
use ocpp::frame::MAX_FRAME_BYTES;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpSocket;
use yawc::{CompressionLevel, DeflatePool, IncomingUpgrade, OpCode, Options};

/// The real server's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As the real server: everyone connects at once.
const BACKLOG: u32 = 4096;

#[derive(Clone)]
struct Floor {
    health: &'static Value,
    station: &'static Value,
    options: Options,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let file = std::env::args()
        .nth(1)
        .context("usage: floor STATION.json")?;
    let station: Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    let floor = Floor {
        health: Box::leak(Box::new(json!({"health": "ok"}))),
        station: Box::leak(Box::new(station)),
        options: options(),
    };
    let router = Router::new()
        .route("/health", get(health))
        .route("/station", get(body))
        .route("/ocpp/{id}", get(echo))
        .with_state(floor);
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let listener = socket.listen(BACKLOG)?;
    println!("http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        // A stream that is gone already is found out when it is read.
        let _ = stream.set_nodelay(true);
    });
    let serving = async { axum::serve(listener, router).await };
    let mut told = Vec::new();
    let mut parent = tokio::io::stdin();
    tokio::select! {
        served = serving => served?,
        ended = parent.read_to_end(&mut told) => drop(ended?),
    }
    Ok(())
}

async fn health(State(floor): State<Floor>) -> Json<&'static Value> {
    Json(floor.health)
}

async fn body(State(floor): State<Floor>) -> Json<&'static Value> {
    Json(floor.station)
}

async fn echo(State(floor): State<Floor>, upgrade: IncomingUpgrade) -> Response {
    let (answer, socket) = match upgrade.upgrade(floor.options) {
        Ok(upgraded) => upgraded,
        Err(error) => return error.to_string().into_response(),
    };
    tokio::spawn(async move {
        let Ok(mut socket) = socket.await else { return };
        while let Ok(frame) = socket.next_frame().await {
            match frame.opcode() {
                OpCode::Text if socket.send(frame).await.is_err() => {
                    return;
                }
                OpCode::Close => return,
                _ => {}
            }
        }
    });
    let mut answer = answer.map(axum::body::Body::new);
    let protocol = HeaderValue::from_static("ocpp1.6");
    answer
        .headers_mut()
        .insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    answer
}

/// Those of the real server, in `gateway/handshake.rs`.
fn options() -> Options {
    Options::default()
        .with_compression_level(CompressionLevel::fast())
        .server_no_context_takeover()
        .client_no_context_takeover()
        .with_deflate_pool(DeflatePool::new(16))
        .with_compression_threshold(128)
        .with_limits(MAX_FRAME_BYTES, 2 * MAX_FRAME_BYTES)
        .with_read_buffer_capacity(512)
        .with_write_buffer_capacity(256)
        .with_utf8()
}
