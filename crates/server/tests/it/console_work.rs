//! What people do at the console: commands, the journal, tags, tokens, and a station's story.

use serde_json::json;

use crate::support::browser::field;
use crate::support::{Access, Answer, Backend, Browser, Server};

both!(
    a_command_is_asked_about_given_and_answered,
    a_secret_is_asked_about_and_given_but_not_shown,
    a_form_sent_twice_is_carried_out_once,
    a_charger_was_heard_when_it_last_spoke,
    a_part_is_taken_out_of_use_and_put_back,
    the_journal_is_written_changed_and_analysed,
    tags_are_entered_and_removed,
    what_is_known_of_a_tag_is_not_undone_by_chance,
    a_drill_of_nothing_is_none,
    tokens_are_made_shown_once_and_revoked,
    a_chargers_password_is_made_and_shown_once,
    a_session_is_shown_with_its_curve,
    a_story_cites_what_it_rests_on,
);

/// Where an answer sends.
#[track_caller]
fn sent_to(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{answer:?}");
    answer.header("location").to_owned()
}

async fn operator(access: &Access) -> Browser {
    Browser::signed_in(access, "operator").await.0
}

async fn a_command_is_asked_about_given_and_answered(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    let mut browser = operator(&server).await;
    let page = browser.page("/console/stations/CP-1").await;
    assert!(page.contains("The charger is not connected"), "{page}");
    let offline = [("command", "reset"), ("type", "soft")];
    let answer = browser
        .send("/console/stations/CP-1/commands", &offline)
        .await;
    assert_eq!(answer.status, 409);

    let mut charger = server.charger("CP-1").connect().await;
    charger.boot().await;
    let asked = browser
        .page("/console/stations/CP-1/commands?command=reset&type=hard")
        .await;
    assert!(asked.contains("whoever is charging is cut off"), "{asked}");
    assert_eq!(field(&asked, "type"), Some("hard"));
    let fields = [("command", "reset"), ("type", "hard")];
    let given = browser.send("/console/stations/CP-1/commands", &fields);
    let answered = async {
        let call = charger.next_call().await;
        assert_eq!(
            (call.action.as_str(), &call.payload),
            ("Reset", &json!({"type": "Hard"}))
        );
        charger.answer(&call, json!({"status": "Accepted"})).await;
    };
    let (answer, ()) = tokio::join!(given, answered);
    let place = sent_to(&answer);
    assert!(place.ends_with("#commands"), "{place}");
    let page = browser.page(place.split('#').next().unwrap()).await;
    for told in [
        "Restart · at once",
        "Accepted",
        "&#34;status&#34;: &#34;Accepted&#34;",
    ] {
        assert!(page.contains(told), "{told}: {page}");
    }
    // What makes no sense is not given.
    for wrong in [
        vec![("command", "self_destruct")],
        vec![("command", "reset"), ("type", "warm")],
        vec![("command", "unlock_connector"), ("evse", "0")],
        vec![("command", "change_configuration"), ("key", "A")],
        vec![("command", "request_start_transaction"), ("id_tag", " ")],
        vec![("command", "trigger_message"), ("message", "song")],
    ] {
        let answer = browser
            .send("/console/stations/CP-1/commands", &wrong)
            .await;
        assert_eq!(answer.status, 422, "{wrong:?}");
        assert!(
            answer.text.contains("What was entered does not hold."),
            "{answer:?}"
        );
    }
    charger.close().await;
}

async fn a_secret_is_asked_about_and_given_but_not_shown(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    let mut charger = server.charger("CP-1").connect().await;
    charger.boot().await;
    let mut browser = operator(&server).await;
    let station = browser.page("/console/stations/CP-1").await;
    let path = "/console/stations/CP-1/commands/ask";
    assert!(
        station.contains(&format!("method=\"post\" action=\"{path}\"")),
        "{station}"
    );
    let fields = [
        ("command", "change_configuration"),
        ("key", "authorizationkey"),
        ("value", "hunter2hunter2"),
    ];
    let asked = browser.send(path, &fields).await;
    assert_eq!(asked.status, 200, "{asked:?}");
    let question = asked.text.split("id=\"ask-h\">").nth(1).unwrap();
    let question = question.split("<form").next().unwrap();
    assert!(question.contains("authorizationkey = •••"), "{question}");
    assert!(!question.contains("hunter2"), "{question}");
    assert_eq!(field(&asked.text, "value"), Some("hunter2hunter2"));
    // In an address it would be in logs and histories.
    let query = "command=change_configuration&key=AuthorizationKey&value=hunter2";
    let answer = browser
        .open(&format!("/console/stations/CP-1/commands?{query}"))
        .await;
    assert_eq!(answer.status, 405);
    let place = sent_to(&browser.open(path).await);
    assert_eq!(place, "/console/stations/CP-1#commands");

    let given = browser.send("/console/stations/CP-1/commands", &fields);
    let answered = async {
        let call = charger.next_call().await;
        assert_eq!(call.payload["value"], "hunter2hunter2");
        charger.answer(&call, json!({"status": "Accepted"})).await;
    };
    let (answer, ()) = tokio::join!(given, answered);
    let place = sent_to(&answer);
    let (mut viewer, _) = Browser::signed_in(&server, "viewer").await;
    let page = viewer.page(place.split('#').next().unwrap()).await;
    assert!(page.contains("authorizationkey = •••"), "{page}");
    assert!(!page.contains("hunter2"), "{page}");
    charger.close().await;
}

async fn a_form_sent_twice_is_carried_out_once(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    let mut charger = server.charger("CP-1").connect().await;
    charger.boot().await;
    let mut browser = operator(&server).await;
    let page = browser.page("/console/stations/CP-1").await;
    let once = field(&page, "once").unwrap().to_owned();
    let fields = [
        ("command", "trigger_message"),
        ("message", "heartbeat"),
        ("once", &once),
    ];
    let mut places = Vec::new();
    for _ in 0..2 {
        let answer = browser
            .send("/console/stations/CP-1/commands", &fields)
            .await;
        places.push(sent_to(&answer));
    }
    assert_eq!(places[0], places[1]);
    let commands = server.viewer().get("stations/CP-1/commands").await.ok();
    assert_eq!(commands["commands"].as_array().unwrap().len(), 1);
    charger.close().await;
}

async fn a_charger_was_heard_when_it_last_spoke(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    let mut charger = server.charger("CP-1").connect().await;
    charger.boot().await;
    let mut browser = operator(&server).await;
    let path = "/console/stations/CP-1";
    let heard = |page: &str| {
        let rest = page.split("last heard <time datetime=\"").nth(1);
        rest.unwrap().split('"').next().unwrap().to_owned()
    };
    let first = heard(&browser.page(path).await);
    // Times are shown to the second.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    charger.call("Heartbeat", json!({})).await;
    let later = heard(&browser.page(path).await);
    assert!(later > first, "{later}, {first}");
    charger.close().await;
}

async fn a_part_is_taken_out_of_use_and_put_back(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    let mut browser = operator(&server).await;
    let asked = browser
        .page("/console/stations/CP-1/availability?to=inoperative&evse=1&connector=1")
        .await;
    assert!(
        asked.contains("Take out of use: CP-1 · Connector 1/1?"),
        "{asked}"
    );
    let path = "/console/stations/CP-1/availability";
    let fields = [("to", "inoperative"), ("evse", "1"), ("connector", "1")];
    sent_to(&browser.send(path, &fields).await);
    let station = server.station("CP-1").await;
    assert_eq!(station["status"], "unavailable");
    let page = browser.page("/console/stations/CP-1").await;
    assert!(page.contains("taken out by the operator"), "{page}");
    assert!(
        page.contains("to=operative&#38;evse=1&#38;connector=1"),
        "{page}"
    );
    let fields = [("to", "operative"), ("evse", "1"), ("connector", "1")];
    sent_to(&browser.send(path, &fields).await);
    assert_eq!(server.station("CP-1").await["status"], "unknown");
    for wrong in [
        vec![("to", "away")],
        vec![("to", "inoperative"), ("connector", "1")],
        vec![("to", "inoperative"), ("evse", "900")],
    ] {
        assert_eq!(browser.send(path, &wrong).await.status, 422, "{wrong:?}");
    }
}

async fn the_journal_is_written_changed_and_analysed(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    let mut browser = operator(&server).await;
    browser.page("/console/journal").await;
    // What does not hold comes back with what was typed.
    let fields = [
        ("work", "Changed a fuse"),
        ("struggle", " "),
        ("intention", "Watch it"),
        ("station", "a b"),
    ];
    let answer = browser.send("/console/journal", &fields).await;
    assert_eq!(answer.status, 422);
    for told in [
        "Changed a fuse</textarea>",
        "1 to 256 characters",
        "no station can have this id",
    ] {
        assert!(answer.text.contains(told), "{told}: {answer:?}");
    }
    let fields = [
        ("work", "Changed a fuse"),
        ("struggle", "The lid was stuck and it took hours"),
        ("intention", "Watch it"),
        ("station", "CP-1"),
    ];
    let place = sent_to(&browser.send("/console/journal", &fields).await);
    let page = browser.page(&place).await;
    assert!(page.contains("Not analysed yet."), "{page}");
    let version = field(&page, "version").unwrap().to_owned();

    let analysis = sent_to(&browser.send(&format!("{place}/analyze"), &[]).await);
    assert_eq!(analysis, format!("{place}#analysis"));
    let page = browser.page(&place).await;
    for told in ["It went badly", "class=\"topics\"", "Read by: embedded"] {
        assert!(page.contains(told), "{told}: {page}");
    }
    let changed = [
        ("work", "Changed two fuses"),
        ("struggle", "None"),
        ("intention", "Watch them"),
        ("version", &version),
        ("station", "CP-1"),
    ];
    sent_to(&browser.send(&place, &changed).await);
    let page = browser.page(&place).await;
    assert!(
        page.contains("Changed two fuses") && page.contains("of an older text"),
        "{page}"
    );
    // Somebody else was quicker: nothing is overwritten.
    let answer = browser.send(&place, &changed).await;
    assert_eq!(answer.status, 412);
    let station = browser.page("/console/stations/CP-1").await;
    assert!(station.contains(&place), "{station}");
    // With its field emptied, it is about no station.
    let version = field(&page, "version").unwrap().to_owned();
    let mut emptied = changed;
    (emptied[3].1, emptied[4].1) = (&version, "");
    sent_to(&browser.send(&place, &emptied).await);
    let station = browser.page("/console/stations/CP-1").await;
    assert!(!station.contains(&place), "{station}");
    // One whose station is gone can be changed too.
    let back = json!({"station_id": "CP-1"});
    let entry = place.strip_prefix("/console/journal/").unwrap();
    let api = format!("journal/entries/{entry}");
    server.operator().patch(&api, back).await.expect(200);
    server.operator().delete("stations/CP-1").await.expect(204);
    let page = browser.page(&place).await;
    let version = field(&page, "version").unwrap().to_owned();
    let mut late = changed;
    late[3].1 = &version;
    sent_to(&browser.send(&place, &late).await);

    let asked = browser.page(&format!("{place}/delete")).await;
    assert!(
        asked.contains("Remove the entry “Changed two fuses”?"),
        "{asked}"
    );
    let version = field(&asked, "version").unwrap().to_owned();
    sent_to(
        &browser
            .send(&format!("{place}/delete"), &[("version", &version)])
            .await,
    );
    assert_eq!(browser.open(&place).await.status, 404);
}

async fn tags_are_entered_and_removed(backend: Backend) {
    let server = Server::start(backend).await;
    let mut browser = operator(&server).await;
    browser.page("/console/id-tags").await;
    let fields = [
        ("uid", "abc-%1"),
        ("status", "accepted"),
        ("expires_at", "2020-01-31T18:30"),
        ("parent", "group"),
    ];
    sent_to(&browser.send("/console/id-tags", &fields).await);
    let page = browser.page("/console/id-tags").await;
    for told in ["ABC-%1", "Expired", "2020-01-31T18:30:00Z", "GROUP"] {
        assert!(page.contains(told), "{told}: {page}");
    }
    for wrong in [
        vec![("uid", "a/b"), ("status", "accepted")],
        vec![("uid", "abc"), ("status", "perhaps")],
        vec![
            ("uid", "abc"),
            ("status", "accepted"),
            ("expires_at", "soon"),
        ],
    ] {
        assert_eq!(
            browser.send("/console/id-tags", &wrong).await.status,
            422,
            "{wrong:?}"
        );
    }
    let answer = browser
        .send(
            "/console/id-tags",
            &[("uid", "a b"), ("status", "accepted")],
        )
        .await;
    assert!(answer.text.contains("without spaces"), "{answer:?}");
    let path = page.split("href=\"/console/id-tags/").nth(1).unwrap();
    let path = format!("/console/id-tags/{}", path.split('"').next().unwrap());
    let asked = browser.page(&path).await;
    assert!(asked.contains("Remove the tag ABC-%1?"), "{asked}");
    sent_to(&browser.send(&path, &[]).await);
    assert!(!browser.page("/console/id-tags").await.contains("ABC-%1"));
}

async fn what_is_known_of_a_tag_is_not_undone_by_chance(backend: Backend) {
    let server = Server::start(backend).await;
    let known = json!({"status": "blocked", "expires_at": "2030-01-31T18:30:00Z",
        "parent": "GROUP"});
    let operator_api = server.operator();
    operator_api.put("id-tags/A%261", known).await.expect(201);
    let mut browser = operator(&server).await;
    browser.page("/console/id-tags").await;
    let entered = [("uid", "a&1"), ("status", "accepted")];
    let place = sent_to(&browser.send("/console/id-tags", &entered).await);
    let tag = async || server.viewer().get("id-tags/A%261").await.expect(200);
    assert_eq!(tag().await["status"], "blocked");
    let page = browser.page(place.split('#').next().unwrap()).await;
    assert!(page.contains("This tag is entered already"), "{page}");

    // Opened by its row, the form has what is known.
    let list = browser.page("/console/id-tags").await;
    let path = list.split("href=\"/console/id-tags?uid=").nth(1).unwrap();
    let query = path.split('#').next().unwrap();
    let page = browser.page(&format!("/console/id-tags?uid={query}")).await;
    for (name, value) in [
        ("uid", "A&#38;1"),
        ("expires_at", "2030-01-31T18:30"),
        ("parent", "GROUP"),
    ] {
        assert_eq!(field(&page, name), Some(value), "{page}");
    }
    assert!(page.contains("value=\"blocked\" selected"), "{page}");
    let version = field(&page, "version").unwrap().to_owned();
    let changed = [
        ("uid", "A&1"),
        ("status", "accepted"),
        ("expires_at", "2030-01-31T18:30"),
        ("parent", "GROUP"),
        ("version", &version),
    ];
    sent_to(&browser.send("/console/id-tags", &changed).await);
    let now = tag().await;
    assert_eq!(
        (&now["status"], &now["parent"]),
        (&json!("accepted"), &json!("GROUP"))
    );
    // Somebody else was quicker.
    let answer = browser.send("/console/id-tags", &changed).await;
    assert_eq!(answer.status, 412);
}

async fn a_drill_of_nothing_is_none(backend: Backend) {
    let server = Server::start_with(backend, &[("DRILLS", "true")]).await;
    let mut browser = operator(&server).await;
    browser.page("/console/drills").await;
    let nothing = ["cpu", "memory", "latency", "errors"].map(|name| (name, "0"));
    let nothing = [&nothing[..], &[("seconds", "60")]].concat();
    let answer = browser.send("/console/drills", &nothing).await;
    assert_eq!(answer.status, 422);
    assert!(answer.text.contains("must be more than 0"), "{answer:?}");
    let drills = server.viewer().get("drills").await.ok();
    assert_eq!(drills["drills"], json!([]));
}

async fn tokens_are_made_shown_once_and_revoked(backend: Backend) {
    let server = Server::start(backend).await;
    let (mut browser, own) = Browser::signed_in(&server, "admin").await;
    let page = browser.page("/console/tokens").await;
    assert!(page.contains("the one you use"), "{page}");
    let once = field(&page, "once").unwrap().to_owned();
    let fields = [("name", "Night shift"), ("role", "viewer"), ("once", &once)];
    let answer = browser.send("/console/tokens", &fields).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    let secret = answer.text.split("id=\"secret\">").nth(1).unwrap();
    let secret = secret.split('<').next().unwrap();
    server
        .anonymous()
        .bearing(secret)
        .get("stations")
        .await
        .expect(200);
    // Sent again it makes no second one, and tells nothing more.
    let again = browser.send("/console/tokens", &fields).await;
    assert_eq!(again.status, 200);
    assert!(again.text.contains("was shown the first time"), "{again:?}");
    let page = browser.page("/console/tokens").await;
    assert_eq!(
        page.matches("<th scope=\"row\">Night shift").count(),
        1,
        "{page}"
    );

    let (mut night, id) = Browser::signed_in(&server, "viewer").await;
    night.page("/console").await;
    let path = format!("/console/tokens/{id}/revoke");
    let asked = browser.page(&path).await;
    assert!(asked.contains("Revoke the token “a viewer”?"), "{asked}");
    sent_to(&browser.send(&path, &[]).await);
    assert_eq!(night.open("/console").await.status, 303);
    let answer = browser
        .send(&format!("/console/tokens/{own}/revoke"), &[])
        .await;
    assert_eq!(answer.status, 409);
    let empty = [("name", ""), ("role", "viewer")];
    assert_eq!(browser.send("/console/tokens", &empty).await.status, 422);
}

async fn a_chargers_password_is_made_and_shown_once(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    let (mut browser, _) = Browser::signed_in(&server, "admin").await;
    let path = "/console/stations/CP-1/credentials";
    let asked = browser.page(path).await;
    assert!(asked.contains("Make a new password for CP-1?"), "{asked}");
    let answer = browser.send(path, &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let password = answer.text.split("id=\"secret\">").nth(1).unwrap();
    let password = password.split('<').next().unwrap();
    assert_eq!(server.charger("CP-1").knock().await.status, 401);
    let right = server.charger("CP-1").password(password).connect().await;
    right.close().await;
    let page = browser.page("/console/stations/CP-1").await;
    assert!(
        page.contains("Set, security profile 1") && !page.contains(password),
        "{page}"
    );
}

async fn a_session_is_shown_with_its_curve(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    server.accept_tag("ABC").await;
    let mut charger = server.charger("CP-1").connect().await;
    charger.boot().await;
    let transaction = charger.start(1, "ABC", 1_000, "2026-05-17T09:00:00Z").await;
    for (minute, energy) in [(10, 2_000), (20, 4_500), (30, 7_000)] {
        let at = format!("2026-05-17T09:{minute}:00Z");
        let told = json!({"connectorId": 1, "transactionId": transaction, "meterValue": [{
        "timestamp": at, "sampledValue": [
            {"value": energy.to_string()},
            {"value": "15000", "measurand": "Power.Active.Import", "unit": "W"},
        ]}]});
        charger.call("MeterValues", told).await;
    }
    let mut browser = operator(&server).await;
    let page = browser.page("/console/stations/CP-1").await;
    for told in [
        "class=\"area\" d=\"M",
        "6.0\u{a0}kWh",
        "15.0\u{a0}kW",
        "request_stop_transaction",
    ] {
        assert!(page.contains(told), "{told}: {page}");
    }
    charger
        .stop(transaction, 8_500, "2026-05-17T09:40:00Z")
        .await;
    charger.close().await;
    let list = browser.page("/console/sessions?station=CP-1").await;
    assert!(
        list.contains("7.5\u{a0}kWh") && list.contains("Ready to be billed"),
        "{list}"
    );
    let path = list.split("href=\"/console/sessions/").nth(1).unwrap();
    let path = format!("/console/sessions/{}", path.split('"').next().unwrap());
    let page = browser.page(&path).await;
    for told in [
        "Ready to be billed",
        "40\u{a0}min",
        "1,000 Wh",
        "8,500 Wh",
        "<code>ABC</code>",
    ] {
        assert!(page.contains(told), "{told}: {page}");
    }
    assert!(
        !browser
            .page("/console/sessions?which=active")
            .await
            .contains(&path)
    );
    assert!(
        !browser
            .page("/console/sessions?station=CP-2")
            .await
            .contains(&path)
    );
}

async fn a_story_cites_what_it_rests_on(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    let mut charger = server.charger("CP-1").connect().await;
    charger.boot().await;
    for _ in 0..3 {
        let told = json!({"connectorId": 1, "status": "Faulted", "errorCode": "GroundFailure"});
        charger.call("StatusNotification", told).await;
        charger.status(1, "Available").await;
    }
    charger.close().await;
    let mut browser = operator(&server).await;
    browser.page("/console/stations/CP-1").await;
    let answer = browser
        .send("/console/stations/CP-1/story", &[("days", "7")])
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    for told in [
        "What happened",
        "Likely cause",
        "Next step",
        "The last 7 days",
        "Told by: embedded",
    ] {
        assert!(answer.text.contains(told), "{told}: {answer:?}");
    }
    // Who chooses another language is led to a page that is there.
    let next = "name=\"next\" value=\"/console/stations/CP-1\"";
    assert!(answer.text.contains(next), "{answer:?}");
    // The story's own address leads there too: a browser goes back to it.
    let back = browser.open("/console/stations/CP-1/story").await;
    assert_eq!(
        (back.status, back.header("location")),
        (303, "/console/stations/CP-1")
    );
    // Every citation leads to a place that is there.
    let cites = answer
        .text
        .split("href=\"/console/stations/CP-1/history?before=")
        .skip(1);
    let mut seen = 0;
    for cite in cites {
        let (before, anchor) = cite.split('"').next().unwrap().split_once('#').unwrap();
        let page = browser
            .page(&format!("/console/stations/CP-1/history?before={before}"))
            .await;
        assert!(
            page.contains(&format!("<li id=\"{anchor}\"")),
            "{anchor}: {page}"
        );
        seen += 1;
    }
    assert!(seen >= 1, "{answer:?}");
}
