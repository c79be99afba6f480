//! Connections are taken in while there is [room](Seats), and closed at once when there is none:
//! whoever opens thousands of them and says nothing cuts the node off from nobody but himself.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::files::{Seat, Seats};

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

impl<S> Accept<TcpStream, S> for Doorkeeper {
    type Stream = Seated;
    type Service = S;
    type Future = Ready<io::Result<(Seated, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let seat = self.0.take().ok_or(io::ErrorKind::ResourceBusy.into());
        ready(seat.and_then(|seat| {
            // Answers are small, and somebody waits for each.
            stream.set_nodelay(true)?;
            let seated = Seated {
                stream,
                _seat: seat,
            };
            Ok((seated, service))
        }))
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
