//! What goes wrong at the console: told in the reader's language, with a way on.

use crate::support::browser::field;
use crate::support::{ADMIN_TOKEN, Access, Answer, Backend, Browser, Server};

both!(
    a_conflict_is_told_in_the_readers_language,
    what_was_typed_comes_back_with_what_is_wrong,
    a_fault_leads_back_to_where_one_was,
);

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
    tells(&answer, 409, "Esta carga ya no está en curso.");

    let entry = [
        ("work", "a"),
        ("struggle", "b"),
        ("intention", "c"),
        ("station", "CP-9"),
    ];
    let answer = browser.send("/console/journal", &entry).await;
    tells(&answer, 422, "no hay ninguna estación con este id");
}

async fn what_was_typed_comes_back_with_what_is_wrong(backend: Backend) {
    let server = Server::start(backend).await;
    let (mut browser, _) = Browser::signed_in(&server, "operator").await;
    let page = browser.page("/console/journal").await;
    assert!(!page.contains("aria-invalid"), "{page}");
    let once = field(&page, "once").unwrap().to_owned();
    let mut entry = vec![
        ("work", "Changed a fuse"),
        ("struggle", "The lid was stuck"),
        ("intention", "Watch it"),
        ("station", "CP-9"),
    ];
    // A station that is not there.
    let answer = browser.send("/console/journal", &entry).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    for told in [
        "Changed a fuse</textarea>",
        "value=\"CP-9\" maxlength=\"48\" autocomplete=\"off\" aria-invalid=\"true\" \
         aria-describedby=\"wrong-station\"",
        "<li id=\"wrong-station\"><b>Station</b>: there is no station with this id</li>",
    ] {
        assert!(answer.text.contains(told), "{told}: {answer:?}");
    }
    assert_eq!(answer.text.matches("aria-invalid").count(), 1, "{answer:?}");
    entry[3].1 = "";
    entry.push(("once", &once));
    let answer = browser.send("/console/journal", &entry).await;
    let place = answer.header("location").to_owned();
    // A form that had another entry in it before.
    entry[0].1 = "Changed two fuses";
    let answer = browser.send("/console/journal", &entry).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.text.contains("Changed two fuses</textarea>"));
    assert_ne!(field(&answer.text, "once"), Some(once.as_str()));

    // Somebody else was quicker.
    let page = browser.page(&place).await;
    let version = field(&page, "version").unwrap().to_owned();
    let theirs = serde_json::json!({"work": "Theirs"});
    let path = place.replace("/console/journal", "journal/entries");
    server.operator().patch(&path, theirs).await.expect(200);
    let mut mine = vec![
        ("work", "Mine"),
        ("struggle", "None"),
        ("intention", "Watch it"),
        ("version", version.as_str()),
    ];
    let answer = browser.send(&place, &mine).await;
    assert_eq!(answer.status, 412, "{answer:?}");
    for told in [
        "<dd>Theirs</dd>",
        "Mine</textarea>",
        "Somebody else has changed this entry meanwhile.",
        "<details open>",
    ] {
        assert!(answer.text.contains(told), "{told}: {answer:?}");
    }
    let version = field(&answer.text, "version").unwrap().to_owned();
    mine[3].1 = &version;
    assert_eq!(browser.send(&place, &mine).await.status, 303);
    assert!(browser.page(&place).await.contains("<dd>Mine</dd>"));
}

async fn a_fault_leads_back_to_where_one_was(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    let path = "/console/stations/CP-1/commands";
    let reset = [("command", "reset"), ("type", "soft")];
    for (from, back) in [
        ("/console/stations/CP-1?command=1", true),
        ("/console/sign-in?next=%2Fconsole", false),
        ("/elsewhere", false),
    ] {
        let (mut browser, id) = Browser::signed_in(&server, "operator").await;
        browser.page("/console").await;
        browser.set("referer", &format!("http://{}{from}", server.address));
        let answer = browser.send(path, &reset).await;
        assert_eq!(answer.status, 409, "{answer:?}");
        let link = format!("<a class=\"button\" href=\"{from}\">");
        assert_eq!(answer.text.contains(&link), back, "{link}: {answer:?}");
        // Choosing a language does not ask for what only takes forms.
        let here = if back { from } else { "/console" };
        let next = format!("name=\"next\" value=\"{here}\"");
        assert!(answer.text.contains(&next), "{next}: {answer:?}");
        // Signed out meanwhile: in again, and on from there.
        server.admin().delete(&format!("tokens/{id}")).await.ok();
        let answer = browser.send(path, &reset).await;
        assert_eq!(answer.status, 401, "{answer:?}");
        let next = if back {
            "%2Fconsole%2Fstations%2FCP-1%3Fcommand%3D1"
        } else {
            "%2Fconsole"
        };
        let link = format!("href=\"/console/sign-in?next={next}\"");
        assert!(answer.text.contains(&link), "{link}: {answer:?}");
    }
    // Another's page is none to go back to.
    let (mut browser, _) = Browser::signed_in(&server, "operator").await;
    browser.page("/console").await;
    browser.set("referer", "https://evil.example/console/about");
    let answer = browser.send(path, &reset).await;
    assert_eq!(answer.status, 409, "{answer:?}");
    let link = "<a class=\"button\" href=\"/console/about\">";
    assert!(!answer.text.contains(link), "{answer:?}");
}
