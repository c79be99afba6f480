//! The beginning of what a server says, overheard.
//!
//! The WebSocket library tells the status of a refused handshake and nothing else of the answer. A
//! server that is asked too much says in a header when to come back, so the stream listens along.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// As much of an answer is kept; the headers of a refusal are shorter.
const MAX_HEARD: usize = 2_048;

/// How an answer begins that opens the line: nothing more of it is of interest.
const OPENED: &[u8] = b"HTTP/1.1 101";

/// A server that wants to be left alone for longer is asked again all the same.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);

/// What was heard so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    /// The delay in seconds of the header `Retry-After`. Its other form, a date, is not read.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&heard);
        let (headers, _) = text.split_once("\r\n\r\n")?;
        headers.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let named = name.trim().eq_ignore_ascii_case("retry-after");
            let seconds = value.trim().parse().ok().filter(|_| named)?;
            Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
        })
    }

    /// Takes in what came; false when nothing more is wanted.
    fn hear(&self, came: &[u8]) -> bool {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_HEARD - heard.len();
        heard.extend_from_slice(&came[..came.len().min(room)]);
        heard.len() < MAX_HEARD && !heard.starts_with(OPENED)
    }
}

/// A stream whose first words are kept, until it is known that they are not needed.
pub struct Overheard<S> {
    stream: S,
    heard: Option<Heard>,
}

impl<S> Overheard<S> {
    pub(super) fn new(stream: S, heard: &Heard) -> Self {
        let heard = Some(heard.clone());
        Self { stream, heard }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Overheard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        let came = &buffer.filled()[before..];
        if self.heard.as_ref().is_some_and(|heard| !heard.hear(came)) {
            self.heard = None;
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Overheard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&str], expect: Option<u64>) {
        let heard = Heard::default();
        for piece in pieces {
            heard.hear(piece.as_bytes());
        }
        let found = heard.retry_after().map(|wait| wait.as_secs());
        assert_eq!(found, expect, "{pieces:?}");
    }

    #[test]
    fn the_header_is_found_wherever_the_answer_was_cut() {
        let end = "\r\n\r\n";
        check(&["HTTP/1.1 503 No\r\nretry-after: 7", end], Some(7));
        check(
            &["HTTP/1.1 503 No\r\nRetry-", "After:12\r\na: b", end],
            Some(12),
        );
        check(&["HTTP/1.1 429 No\r\nRetry-After: 100000", end], Some(300));
        check(&["HTTP/1.1 429 No\r\nRetry-After: soon", end], None);
        check(&["HTTP/1.1 429 No\r\nRetry-After: 1"], None);
        check(&["HTTP/1.1 429 No", end, "retry-after: 1\r\n"], None);
    }

    #[test]
    fn no_more_is_kept_than_may_be_needed() {
        let heard = Heard::default();
        assert!(heard.hear(b"HTTP/1.1 5"));
        assert!(!heard.hear(&[b'x'; 2 * MAX_HEARD]));
        assert_eq!(heard.0.lock().unwrap().len(), MAX_HEARD);
        let heard = Heard::default();
        assert!(heard.hear(b"HTTP/1.1 1"));
        assert!(!heard.hear(b"01 Switching"));
    }
}
