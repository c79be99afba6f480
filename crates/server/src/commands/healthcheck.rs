//! `enchufe healthcheck`: is the server of these settings ready? For containers without a shell.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::config::{Flags, reachable};

/// Below the 5 seconds that container schedulers commonly allow a check.
const TIMEOUT: Duration = Duration::from_secs(4);

/// Most of an answer that is read: readiness is one short line.
const MAX_ANSWER: u64 = 16 * 1_024;

/// Longest piece of the answer that is repeated in the output.
const MAX_SHOWN: usize = 512;

/// The settings tell where the server listens.
#[derive(Debug, clap::Args)]
pub struct Healthcheck {
    #[command(flatten)]
    settings: Flags,
}

impl Healthcheck {
    /// Asks `/healthz` and tells the answer in one line.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let address = reachable(self.settings.load()?.listen);
        let answer = tokio::time::timeout(TIMEOUT, get(address, "/healthz")).await;
        let answer =
            answer.unwrap_or_else(|_| bail!("no answer within {} seconds", TIMEOUT.as_secs()));
        match answer {
            Ok(Answer { status: 200, body }) => {
                println!("ready: {address} {body}");
                Ok(ExitCode::SUCCESS)
            }
            Ok(Answer { status, body }) => {
                println!("not ready: {address} answered {status} {body}");
                Ok(ExitCode::FAILURE)
            }
            Err(error) => {
                println!("not ready: {address}: {error:#}");
                Ok(ExitCode::FAILURE)
            }
        }
    }
}

/// An answer, on one line.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// One GET, over a connection of its own. HTTP/1.0, so the body is neither chunked nor followed.
pub(super) async fn get(address: SocketAddr, path: &str) -> anyhow::Result<Answer> {
    let mut stream = TcpStream::connect(address)
        .await
        .context("cannot connect")?;
    let request =
        format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nAccept: application/json\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .context("cannot ask")?;
    let mut answer = Vec::new();
    stream
        .take(MAX_ANSWER)
        .read_to_end(&mut answer)
        .await
        .context("no whole answer")?;
    parse(&String::from_utf8_lossy(&answer)).context("the answer is not HTTP")
}

fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head
        .strip_prefix("HTTP/1.")?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()?;
    let body = body.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    Some(Answer {
        status,
        body: body.chars().take(MAX_SHOWN).collect(),
    })
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_its_status_and_its_body_on_one_line() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = [0; 512];
            let read = stream.read(&mut request).await.expect("a request");
            let answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\r\n{\n  \"status\": \"starting\"\n}\n";
            stream.write_all(answer).await.expect("an answer");
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let answer = get(address, "/healthz").await.expect("an answer");
        assert_eq!(answer.status, 503);
        assert_eq!(answer.body, r#"{ "status": "starting" }"#);
        assert!(
            server
                .await
                .expect("a request")
                .starts_with("GET /healthz HTTP/1.0\r\n")
        );
    }

    #[tokio::test]
    async fn a_port_nobody_listens_on_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        assert!(get(address, "/healthz").await.is_err());
    }

    #[test]
    fn what_is_not_http_is_no_answer() {
        for text in [
            "",
            "hello\r\n\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 200 OK\r\n",
        ] {
            assert!(parse(text).is_none(), "{text:?}");
        }
    }
}
