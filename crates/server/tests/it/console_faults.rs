//! What goes wrong at the console: told in the reader's language, with a way on.

use crate::support::browser::field;
use crate::support::{ADMIN_TOKEN, Access, Answer, Backend, Browser, Server};

both!(a_conflict_is_told_in_the_readers_language,);

/// Words that only the API says.
const RAW: [&str; 4] = ["Idempotency-Key", "there is no", "runs until", "wait for"];

async fn spanish(access: &Access) -> Browser {
    let client = access.anonymous().with("accept-language", "es");
    let mut browser = Browser::of(&client);
    browser.sign_in(ADMIN_TOKEN).await;
    browser
}

#[track_caller]
fn tells(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.text.contains(text), "{text}: {answer:?}");
    for raw in RAW {
        assert!(!answer.text.contains(raw), "{raw}: {answer:?}");
    }
}

async fn a_conflict_is_told_in_the_readers_language(backend: Backend) {
    let server = Server::start_with(backend, &[("DRILLS", "true")]).await;
    server.enter("CP-1").await;
    let mut browser = spanish(&server).await;
    browser.page("/console/drills").await;
    let drill = [
        ("cpu", "1"),
        ("memory", "0"),
        ("latency", "0"),
        ("errors", "0"),
        ("seconds", "60"),
    ];
    let answer = browser.send("/console/drills", &drill).await;
    assert_eq!(answer.status, 303, "{answer:?}");
    let answer = browser.send("/console/drills", &drill).await;
    tells(&answer, 409, "Solo puede haber un simulacro a la vez");

    // A form that was filled in twice.
    let page = browser.page("/console/tokens").await;
    let once = field(&page, "once").unwrap().to_owned();
    for (name, status) in [("Uno", 200), ("Otro", 422)] {
        let fields = [("name", name), ("role", "viewer"), ("once", once.as_str())];
        let answer = browser.send("/console/tokens", &fields).await;
        assert_eq!(answer.status, status, "{answer:?}");
        if status == 422 {
            tells(&answer, 422, "ya se envió con otro contenido");
        }
    }

    let stop = [
        ("command", "request_stop_transaction"),
        ("session", "0190c9d2-7d0b-7000-8000-5d7a1f7a2b11"),
    ];
    let path = "/console/stations/CP-1/commands";
    let answer = browser.send(path, &stop).await;
    tells(&answer, 409, "Esta carga ya no está en marcha.");

    let entry = [
        ("work", "a"),
        ("struggle", "b"),
        ("intention", "c"),
        ("station", "CP-9"),
    ];
    let answer = browser.send("/console/journal", &entry).await;
    tells(&answer, 422, "no hay ninguna estación con este id");
}
