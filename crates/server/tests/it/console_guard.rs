//! What keeps the console from being used against those who use it.

use serde_json::json;

use crate::support::{Access, Backend, Browser, Server};

both!(
    a_form_of_another_site_is_refused,
    each_role_sees_and_does_what_it_may,
    every_answer_tells_the_browser_what_it_may_do,
    what_others_wrote_is_shown_and_does_nothing,
);

/// Every page, of a network that has one of each thing.
async fn pages(access: &Access) -> Vec<String> {
    let entries = access.viewer().get("journal/entries").await.ok();
    let entry = entries["entries"][0]["id"].as_str().unwrap().to_owned();
    let sessions = access.viewer().get("sessions").await.ok();
    let session = sessions["sessions"][0]["id"].as_str().unwrap().to_owned();
    [
        "/console",
        "/console?q=a&status=trouble&sort=name&box=39,-1,40,0",
        "/console/stations/CP-1",
        "/console/stations/CP-1/history",
        "/console/stations/CP-1/availability?to=inoperative",
        "/console/sessions",
        &format!("/console/sessions/{session}"),
        "/console/id-tags",
        "/console/id-tags/ABC/delete",
        "/console/journal",
        &format!("/console/journal/{entry}"),
        "/console/tokens",
        "/console/drills",
        "/console/about",
        "/console/nowhere",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// One of each thing: a station with a session, a tag, an entry. `text` stands wherever somebody
/// can write something.
async fn furnish(access: &Access, text: &str) {
    let operator = access.operator();
    let station = json!({"id": "CP-1", "name": text,
        "location": {"latitude": 39.47, "longitude": -0.38, "address": text}});
    operator.post("stations", station).await.expect(201);
    access.accept_tag("ABC").await;
    let entry = json!({"work": text, "struggle": text, "intention": text, "station_id": "CP-1"});
    operator.post("journal/entries", entry).await.expect(201);
    let mut charger = access.charger("CP-1").connect().await;
    let told = json!({"chargePointVendor": text, "chargePointModel": text,
        "firmwareVersion": text, "chargePointSerialNumber": text});
    charger.call("BootNotification", told).await;
    let told = json!({"connectorId": 1, "status": "Faulted", "errorCode": "OtherError",
        "info": text, "vendorErrorCode": text});
    charger.call("StatusNotification", told).await;
    charger.start(1, "ABC", 0, "2026-05-17T09:00:00Z").await;
    let told = json!({"vendorId": text, "messageId": text, "data": text});
    charger.call("DataTransfer", told).await;
    charger
        .call("FirmwareStatusNotification", json!({"status": text}))
        .await;
    charger.close().await;
}

async fn a_form_of_another_site_is_refused(backend: Backend) {
    let server = Server::start(backend).await;
    let (mut browser, _) = Browser::signed_in(&server, "operator").await;
    let (mut other, _) = Browser::signed_in(&server, "operator").await;
    browser.page("/console/journal").await;
    other.page("/console/journal").await;
    let entry = [("work", "a"), ("struggle", "b"), ("intention", "c")];
    let with = |csrf: &'static str| {
        let mut fields = vec![("csrf", csrf)];
        fields.extend(entry);
        fields
    };
    // Without what our forms carry, with something else, with somebody else's.
    let stolen: &'static str = other.csrf().to_owned().leak();
    assert_ne!(browser.csrf(), stolen);
    for fields in [entry.to_vec(), with(""), with("0000"), with(stolen)] {
        let answer = browser.send_bare("/console/journal", &fields).await;
        assert_eq!(answer.status, 403, "{fields:?}");
        assert!(
            answer
                .text
                .contains("This form did not come from this console")
        );
    }
    // With it, but from another site's page, as far as the browser tells.
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let (mut lured, _) = Browser::signed_in(&server, "operator").await;
        lured.page("/console/journal").await;
        lured.set(name, value);
        for path in [
            "/console/journal",
            "/console/sign-out",
            "/console/preferences",
        ] {
            let answer = lured.send(path, &entry).await;
            assert_eq!(answer.status, 403, "{path} {name}: {value}");
        }
        let answer = lured.sign_in("whatever-it-may-be").await;
        assert_eq!(answer.status, 403, "{name}: {value}");
    }
    // Nor as JSON, which another site could send without asking first as plain text.
    for kind in [
        "text/plain",
        "application/json",
        "multipart/form-data; boundary=x",
    ] {
        let body = format!("csrf={}&work=a&struggle=b&intention=c", browser.csrf());
        let method = http::Method::POST;
        let client = browser.client();
        let answer = client
            .send_raw(method, "/console/journal", Some(kind), body)
            .await;
        assert_eq!(answer.status, 400, "{kind}");
    }
    let written = server.viewer().get("journal/entries").await.ok();
    assert_eq!(written["count"], 0);

    browser.set("origin", &format!("http://{}", server.address));
    browser.set("sec-fetch-site", "same-origin");
    assert_eq!(browser.send("/console/journal", &entry).await.status, 303);
    let written = server.viewer().get("journal/entries").await.ok();
    assert_eq!(written["count"], 1);
}

async fn each_role_sees_and_does_what_it_may(backend: Backend) {
    let server = Server::start(backend).await;
    furnish(&server, "Plaza Mayor").await;
    let charger = server.charger("CP-1").connect().await;
    server.station_when("CP-1", "online", true).await;
    let entries = server.viewer().get("journal/entries").await.ok();
    let entry = entries["entries"][0]["id"].as_str().unwrap();
    let needs_operator = [
        "/console/stations/CP-1/commands",
        "/console/stations/CP-1/commands/ask",
        "/console/stations/CP-1/availability",
        "/console/stations/CP-1/story",
        "/console/id-tags",
        "/console/id-tags/ABC/delete",
        "/console/journal",
        &format!("/console/journal/{entry}"),
        &format!("/console/journal/{entry}/analyze"),
        &format!("/console/journal/{entry}/delete"),
        "/console/drills",
        "/console/drills/abort",
    ]
    .map(str::to_owned);
    let needs_admin = [
        "/console/stations/CP-1/credentials",
        "/console/tokens",
        "/console/tokens/0190c9d2-7d0b-7000-8000-5d7a1f7a2b11/revoke",
    ]
    .map(str::to_owned);

    let (mut viewer, _) = Browser::signed_in(&server, "viewer").await;
    let (mut operator, _) = Browser::signed_in(&server, "operator").await;
    let (mut admin, _) = Browser::signed_in(&server, "admin").await;
    for browser in [&mut viewer, &mut operator, &mut admin] {
        browser.page("/console").await;
    }
    for path in needs_operator.iter().chain(&needs_admin) {
        let answer = viewer.send(path, &[]).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.text.contains("This needs the role"), "{path}");
    }
    for path in &needs_operator {
        let answer = operator.send(path, &[]).await;
        assert!(![401, 403].contains(&answer.status), "{path}: {answer:?}");
    }
    for path in &needs_admin {
        assert_eq!(operator.send(path, &[]).await.status, 403, "{path}");
        let answer = admin.send(path, &[]).await;
        assert!(![401, 403].contains(&answer.status), "{path}: {answer:?}");
    }
    // What asks first asks for the role too.
    for path in [
        "commands?command=clear_cache",
        "availability?to=inoperative",
        "credentials",
    ] {
        let answer = viewer.open(&format!("/console/stations/CP-1/{path}")).await;
        assert_eq!(answer.status, 403, "{path}");
    }
    assert_eq!(viewer.open("/console/tokens").await.status, 403);
    assert_eq!(operator.open("/console/tokens").await.status, 403);

    // And what one may not is not offered.
    let station = viewer.page("/console/stations/CP-1").await;
    for offer in [
        "name=\"command\"",
        "/availability?",
        "/credentials",
        "/story",
        "data-ask",
    ] {
        assert!(!station.contains(offer), "{offer}");
    }
    let station = operator.page("/console/stations/CP-1").await;
    assert!(station.contains("name=\"command\"") && !station.contains("/credentials"));
    assert!(
        admin
            .page("/console/stations/CP-1")
            .await
            .contains("/credentials")
    );
    assert!(!viewer.page("/console/journal").await.contains("<textarea"));
    assert!(
        !viewer
            .page("/console/id-tags")
            .await
            .contains("name=\"uid\"")
    );
    assert!(!operator.page("/console").await.contains("/console/tokens"));
    charger.close().await;
}

async fn every_answer_tells_the_browser_what_it_may_do(backend: Backend) {
    let settings = [("MAP_TILES_URL", "https://tiles.example.org/{z}/{x}/{y}.png")];
    let server = Server::start_with(backend, &settings).await;
    furnish(&server, "Plaza Mayor").await;
    let (mut admin, _) = Browser::signed_in(&server, "admin").await;
    let mut stranger = Browser::at(&server);
    let mut answers = vec![
        stranger.open("/console").await,
        stranger.open("/console/sign-in").await,
        stranger.open("/console/enter?code=x").await,
        stranger.send("/console/journal", &[]).await,
    ];
    for page in pages(&server).await {
        answers.push(admin.open(&page).await);
    }
    for answer in &answers {
        let policy = answer.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' https://tiles.example.org;",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{answer:?}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("referrer-policy"), "same-origin");
        assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
        // Nothing that the policy would have to forbid.
        for inline in [
            " style=",
            " onclick=",
            " onload=",
            "<style",
            "javascript:",
            "<script>",
        ] {
            assert!(!answer.text.contains(inline), "{inline} in {answer:?}");
        }
    }
    // The tiles are where the map wants them.
    let page = admin.page("/console").await;
    assert!(
        page.contains("<image href=\"https://tiles.example.org/"),
        "{page}"
    );
    // What has its content in its name is kept; what has not is not there.
    let style = page.split("rel=\"stylesheet\" href=\"").nth(1).unwrap();
    let style = style.split('"').next().unwrap();
    let answer = stranger.open(style).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("cache-control").contains("immutable"));
    assert!(answer.header("content-type").starts_with("text/css"));
    assert_eq!(
        stranger.open("/console/assets/console.css").await.status,
        404
    );
}

async fn what_others_wrote_is_shown_and_does_nothing(backend: Backend) {
    let server = Server::start(backend).await;
    let hostile = "\"><img src=x onerror=alert(1)>'{{7*7}}</title>&lt;";
    furnish(&server, hostile).await;
    let body = json!({"name": hostile, "role": "viewer"});
    server.admin().post("tokens", body).await.expect(201);
    let (mut admin, _) = Browser::signed_in(&server, "admin").await;
    admin
        .page_when("/console", |page| page.contains("&#60;img src=x"))
        .await;
    let mut shown = 0;
    for path in pages(&server).await {
        let page = admin.open(&path).await.text;
        assert!(!page.contains("<img"), "{path}: {page}");
        assert!(!page.contains("onerror=alert(1)>"), "{path}");
        let opened = page.matches("<title>").count();
        assert_eq!(page.matches("</title>").count(), opened, "{path}");
        shown += usize::from(page.contains("&#60;img src=x onerror=alert(1)&#62;"));
    }
    assert!(shown >= 6, "shown on {shown} pages");
    // Searched for, it is a text too.
    let search = "/console?q=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    let page = admin.page(search).await;
    assert!(!page.contains("<script>alert"), "{page}");
    assert!(page.contains("No station is so."), "{page}");
}
