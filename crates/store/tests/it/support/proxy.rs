//! A network between the store and PostgreSQL that can be cut at the worst moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use sqlx::postgres::PgConnectOptions;
use store::Location;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::Database;

/// What becomes of the next `COMMIT` on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives, and so does its answer.
    Passes,
    /// The connection is cut before it arrives.
    Lost,
    /// It arrives, and the connection is cut before the answer.
    AnswerLost,
    /// Nothing moves on this connection any more, and nobody is told.
    Frozen,
}

const FATES: [Fate; 4] = [Fate::Passes, Fate::Lost, Fate::AnswerLost, Fate::Frozen];

/// A proxy in front of a database.
pub struct Proxy {
    /// The database as it is reached through the proxy.
    pub database: Database,
    fate: Arc<AtomicU8>,
    lets_in: Arc<AtomicBool>,
}

impl Proxy {
    pub async fn before(database: &Database) -> Self {
        let Location::Postgres(url) = &database.location else {
            panic!("only PostgreSQL has a network");
        };
        let options: PgConnectOptions = url.parse().unwrap();
        let target = (options.get_host().to_owned(), options.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let options = options.host("127.0.0.1").port(port);
        let url = sqlx::ConnectOptions::to_url_lossy(&options).to_string();
        let fate = Arc::new(AtomicU8::new(0));
        let lets_in = Arc::new(AtomicBool::new(true));
        tokio::spawn({
            let (fate, lets_in) = (Arc::clone(&fate), Arc::clone(&lets_in));
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    if !lets_in.load(Ordering::SeqCst) {
                        continue;
                    }
                    let Ok(server) = TcpStream::connect(&target).await else {
                        continue;
                    };
                    tokio::spawn(carry(client, server, Arc::clone(&fate)));
                }
            }
        });
        Self {
            database: Database {
                location: Location::Postgres(url),
            },
            fate,
            lets_in,
        }
    }

    /// Whether new connections are let through.
    pub fn lets_in(&self, lets_in: bool) {
        self.lets_in.store(lets_in, Ordering::SeqCst);
    }

    /// Decides over the next `COMMIT`. The one after that passes.
    pub fn next_commit(&self, fate: Fate) {
        let place = FATES.iter().position(|f| *f == fate).unwrap();
        self.fate
            .store(u8::try_from(place).unwrap(), Ordering::SeqCst);
    }

    /// True when the last fate that was decided has been met.
    pub fn is_met(&self) -> bool {
        self.fate.load(Ordering::SeqCst) == 0
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, fate: Arc<AtomicU8>) {
    let (mut to_server, mut to_client) = (vec![0; 65536], vec![0; 65536]);
    loop {
        tokio::select! {
            read = client.read(&mut to_server) => {
                let Ok(count @ 1..) = read else { return };
                let bytes = &to_server[..count];
                let commits = bytes.windows(6).any(|word| word == b"COMMIT");
                let fate = if commits { fate.swap(0, Ordering::SeqCst) } else { 0 };
                match FATES[usize::from(fate)] {
                    Fate::Passes => {}
                    Fate::Lost => return,
                    Fate::AnswerLost => {
                        server.write_all(bytes).await.unwrap();
                        // The answer comes as far as here.
                        let _ = server.read(&mut to_client).await;
                        return;
                    }
                    Fate::Frozen => std::future::pending().await,
                }
                if server.write_all(&to_server[..count]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut to_client) => {
                let Ok(count @ 1..) = read else { return };
                if client.write_all(&to_client[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
