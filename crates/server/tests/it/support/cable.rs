//! A network between a node and a service, that can be cut without a word.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

/// A way to a service. Cut, nothing moves on it and nobody is told; mended, what was on it before
/// is gone, and new connections pass.
pub struct Cable {
    state: Arc<watch::Sender<State>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Whole,
    Cut,
}

impl Cable {
    /// Lays one to the service behind a URL, and gives the URL by which that is reached through it.
    pub async fn to(url: &str) -> (Self, String) {
        let mut url: Url = url.parse().unwrap();
        let host = url.host_str().unwrap().trim_matches(['[', ']']).to_owned();
        let target = (host, url.port().expect("the URL names a port"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, state) = watch::channel(State::Whole);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, target.clone(), state.clone()));
            }
        });
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(address.port())).unwrap();
        let state = Arc::new(sender);
        (Self { state }, url.into())
    }

    /// Cuts it.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Mends it.
    pub fn mend(&self) {
        self.state.send_replace(State::Whole);
    }
}

async fn carry(mut client: TcpStream, target: (String, u16), mut state: watch::Receiver<State>) {
    // Asked for while it is cut, a connection is neither made nor refused.
    becomes(&mut state, State::Whole).await;
    let Ok(mut server) = TcpStream::connect(target).await else {
        return;
    };
    let (mut there, mut back) = (vec![0; 65_536], vec![0; 65_536]);
    let mut whole = state.clone();
    loop {
        tokio::select! {
            biased;
            // What was on its way is lost, and found to be when the cable is whole again.
            () = becomes(&mut state, State::Cut) => {
                becomes(&mut whole, State::Whole).await;
                return;
            }
            read = client.read(&mut there) => {
                let Ok(count @ 1..) = read else { return };
                if server.write_all(&there[..count]).await.is_err() { return }
            }
            read = server.read(&mut back) => {
                let Ok(count @ 1..) = read else { return };
                if client.write_all(&back[..count]).await.is_err() { return }
            }
        }
    }
}

/// Waits for a state; for ever when the cable is taken away.
async fn becomes(state: &mut watch::Receiver<State>, wanted: State) {
    let gone = state.wait_for(|state| *state == wanted).await.is_err();
    if gone {
        std::future::pending::<()>().await;
    }
}
