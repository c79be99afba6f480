//! `/ocpp/{identity}`: station, credentials and version are settled before the upgrade.

use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;
use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{ConnectInfo, Path, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use domain::{Station, StationId};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use ocpp::Version;
use ocpp::frame::MAX_FRAME_BYTES;
use yawc::close::CloseCode;
use yawc::{CompressionLevel, DeflatePool, Frame, IncomingUpgrade, Options};

use super::pace::ComeBack;
use super::{Dialect, SUPPORTED, socket};
use crate::api::problem::Problem;
use crate::app::{App, AppError};

/// Idle compressors kept for all connections together: a few per core.
const IDLE_COMPRESSORS: usize = 16;
/// Shorter messages are not worth compressing.
const COMPRESSION_THRESHOLD: usize = 128;
/// A connection's buffers while it is idle; they grow for a large message and shrink again.
const READ_BUFFER: usize = 512;
const WRITE_BUFFER: usize = 256;

/// When a charger is told to come back to a server that is stopping, in seconds: another one takes
/// its place at once, or it starts again.
const RETRY_AFTER: u32 = 2;

/// When a charger is told to come back to a server that has no room, at the earliest: one that is
/// gone holds its place until it is missed.
const FULL_PAUSE: Duration = Duration::from_secs(10);

/// One set of socket options for all connections, so that they share their compressors.
static OPTIONS: LazyLock<Options> = LazyLock::new(|| {
    Options::default()
        .with_compression_level(CompressionLevel::fast())
        .server_no_context_takeover()
        .client_no_context_takeover()
        .with_deflate_pool(DeflatePool::new(IDLE_COMPRESSORS))
        .with_compression_threshold(COMPRESSION_THRESHOLD)
        .with_limits(MAX_FRAME_BYTES, 2 * MAX_FRAME_BYTES)
        .with_read_buffer_capacity(READ_BUFFER)
        .with_write_buffer_capacity(WRITE_BUFFER)
        .with_utf8()
});

/// Lets a charger in, or tells it why not. Whoever is not let in has nothing more to say over this
/// connection, and others wait for its place.
pub async fn connect(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    address: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    upgrade: Result<IncomingUpgrade, StatusCode>,
) -> Response {
    let mut answer = decide(app, path, address, headers, upgrade).await;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(header::CONNECTION, close);
    }
    answer
}

async fn decide(
    app: App,
    path: Result<Path<String>, PathRejection>,
    address: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    upgrade: Result<IncomingUpgrade, StatusCode>,
) -> Response {
    // A charger's messages wait for the database, and so does its connection.
    let app = app.for_chargers();
    let handshake = app.fleet.handshake();
    // The identity is the last segment; some chargers put a path of their own before it. A path
    // that is no text names nobody.
    let path = path.map_or_else(|_| String::new(), |Path(path)| path);
    let identity = path
        .rsplit('/')
        .find(|segment| !segment.is_empty())
        .unwrap_or_default();
    let address = address.map(|Extension(ConnectInfo(address))| address.ip());
    if app.phase.is_draining() {
        let detail = "the server is stopping; connect again in a moment";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .retry_after(RETRY_AFTER)
            .into_response();
    }
    let Some(seat) = app.seats.take() else {
        let detail = "this server has no room for more chargers; connect again, to another one if \
                      there is one, when Retry-After says";
        let ComeBack { seconds } = ComeBack::after(FULL_PAUSE, identity);
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .retry_after(seconds)
            .into_response();
    };
    let station = match admit(&app, identity, address, &headers).await {
        Ok(station) => station,
        Err(problem) => return problem.into_response(),
    };
    let Ok(upgrade) = upgrade else {
        let detail = "this address is for chargers: open a WebSocket to it";
        let mut answer = Problem::new(StatusCode::UPGRADE_REQUIRED, detail).into_response();
        answer
            .headers_mut()
            .insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        return answer;
    };
    let version = negotiate(&headers);
    let (answer, socket) = match upgrade.upgrade(OPTIONS.clone()) {
        Ok(upgraded) => upgraded,
        Err(error) => {
            let detail = format!("the WebSocket handshake cannot be understood: {error}");
            return Problem::new(StatusCode::BAD_REQUEST, detail).into_response();
        }
    };
    let mut answer = answer.map(axum::body::Body::new);
    if let Some((version, dialect)) = version {
        let protocol = HeaderValue::from_static(version.subprotocol());
        answer
            .headers_mut()
            .insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        app.fleet.admit(&station.id, handshake);
        let tasks = app.fleet.tasks.clone();
        tasks.spawn(socket::run(
            app,
            station.id.clone(),
            handshake,
            version,
            dialect,
            socket,
            seat,
        ));
    } else {
        // A MUST in every version: complete the handshake, name no protocol, close at once.
        tokio::spawn(async move {
            if let Ok(mut socket) = socket.await {
                let reason = "no common subprotocol; this server speaks ocpp1.6";
                let frame = Frame::close(CloseCode::Protocol, reason);
                // The charger may be gone already, which is what is wanted.
                let _ = futures_util::SinkExt::send(&mut socket, frame).await;
            }
        });
    }
    answer
}

/// The station a charger may speak for.
async fn admit(
    app: &App,
    identity: &str,
    address: Option<IpAddr>,
    headers: &HeaderMap,
) -> Result<std::sync::Arc<Station>, Problem> {
    let unknown = || {
        let detail = "no station has this identity; enter it first, with POST /api/v1/stations";
        Problem::new(StatusCode::NOT_FOUND, detail)
    };
    let id = StationId::new(identity).map_err(|_| unknown())?;
    let station = app.station(&id).await?.ok_or_else(unknown)?;
    let Some(hash) = app.store.credentials(&id).await.map_err(AppError::from)? else {
        if app.settings.allow_unauthenticated_chargers {
            paced(app, &id).await?;
            return Ok(station);
        }
        return Err(unauthorized(
            "this station has no credentials yet; set them with PUT /stations/{id}/credentials",
        ));
    };
    let Some((user, password)) = basic(headers) else {
        return Err(unauthorized(
            "present the station's credentials (HTTP Basic)",
        ));
    };
    let address = address.unwrap_or(IpAddr::from([0, 0, 0, 0]));
    app.failures.check(address, Some(&id))?;
    paced(app, &id).await?;
    let same = user == id.as_str().as_bytes();
    if same && app.passwords.verify(&id, &password, &hash).await {
        return Ok(station);
    }
    app.failures.note(address, Some(&id));
    tracing::warn!(station.id = %id, %address, "charger presented wrong credentials");
    Err(unauthorized(if same {
        "the password is not this station's"
    } else {
        "the user name must be the station's identity"
    }))
}

/// Waits for this charger's turn to be let in.
async fn paced(app: &App, id: &StationId) -> Result<(), Problem> {
    app.admissions
        .wait(id)
        .await
        .map_err(|ComeBack { seconds }| {
            let detail = "many chargers connect just now; connect again when Retry-After says";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(seconds)
        })
}

fn unauthorized(detail: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail).challenge("Basic realm=\"enchufe\"")
}

/// User and password as they were sent: a 1.6 key may be any bytes.
fn basic(headers: &HeaderMap) -> Option<(Vec<u8>, Vec<u8>)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some((decoded[..colon].to_vec(), decoded[colon + 1..].to_vec()))
}

/// The first version the charger offers that is spoken here.
fn negotiate(headers: &HeaderMap) -> Option<(Version, Dialect)> {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let offered = offered.iter().filter_map(|value| value.to_str().ok());
    let offered = offered.flat_map(|value| value.split(',')).map(str::trim);
    let version = Version::negotiate(offered, SUPPORTED)?;
    Dialect::of(version).map(|dialect| (version, dialect))
}
