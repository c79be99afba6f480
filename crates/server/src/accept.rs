//! Connections are taken in while there is [room](Seats), and closed at once when there is none.
//! Whoever opens one says something soon, or loses it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::accept::Accept;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::files::{Seat, Seats};
use crate::node::HEAD_TIMEOUT;

/// What a connection begins with that is to be HTTP/2 (RFC 9113, section 3.4). Until it is all there
/// or cannot be it any more, nobody else has an eye on the time.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Between looks at whether more of it has come.
const LOOK: Duration = Duration::from_millis(50);

/// Who takes connections in.
#[derive(Clone, Debug)]
pub struct Doorkeeper(Arc<Seats>);

/// A connection that has a place.
#[derive(Debug)]
pub struct Seated {
    stream: TcpStream,
    _seat: Seat,
}

impl Doorkeeper {
    /// One with so many places to give.
    pub fn new(seats: Seats) -> Self {
        Self(Arc::new(seats))
    }
}

impl<S: Send + 'static> Accept<TcpStream, S> for Doorkeeper {
    type Stream = Seated;
    type Service = S;
    type Future = BoxFuture<'static, io::Result<(Seated, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let seat = self.0.take();
        Box::pin(async move {
            let seat = seat.ok_or(io::ErrorKind::ResourceBusy)?;
            // Answers are small, and somebody waits for each.
            stream.set_nodelay(true)?;
            timeout(HEAD_TIMEOUT, begun(&stream)).await??;
            let seated = Seated {
                stream,
                _seat: seat,
            };
            Ok((seated, service))
        })
    }
}

/// Waits until it is known in which version of HTTP somebody speaks.
async fn begun(stream: &TcpStream) -> io::Result<()> {
    let mut head = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut head).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if length == PREFACE.len() || !PREFACE.starts_with(&head[..length]) {
            return Ok(());
        }
        sleep(LOOK).await;
    }
}

impl AsyncRead for Seated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Seated {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
