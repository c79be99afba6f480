//! Pages: found, read in either language, light enough, and as good with five thousand stations.

use std::time::{Duration, Instant};

use domain::StationId;
use domain::station::{EvseSpec, Location};
use futures_util::StreamExt as _;
use serde_json::json;
use server::app::NewStation;

use crate::support::{Backend, Browser, Server};

both!(
    a_browser_lands_here,
    both_languages_are_spoken,
    a_list_is_searched_filtered_sorted_and_paged,
    what_needs_a_person_comes_first,
    what_more_needs_a_person_is_found,
    a_page_that_is_not_there_says_so,
);

/// What a page with all that it loads may weigh.
const MOST_BYTES: usize = 100_000;

async fn a_browser_lands_here(backend: Backend) {
    let server = Server::start(backend).await;
    let (mut browser, _) = Browser::signed_in(&server, "viewer").await;
    let answer = browser.open("/").await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "/console")
    );
    for path in ["/console", "/console/"] {
        let page = browser.page(path).await;
        assert!(page.starts_with("<!DOCTYPE html>"), "{page}");
        assert!(page.contains("<html lang=\"en\""));
    }
}

async fn both_languages_are_spoken(backend: Backend) {
    let server = Server::start(backend).await;
    let mut browser = Browser::of(&server.anonymous().with("accept-language", "es-ES,en;q=0.5"));
    let placed = json!({"id": "CP-1", "name": "Uno",
        "location": {"latitude": 39.47, "longitude": -0.62}});
    server.operator().post("stations", placed).await.expect(201);
    let door = browser.page("/console/sign-in").await;
    assert!(
        door.contains("<html lang=\"es\"") && door.contains("Token de acceso"),
        "{door}"
    );
    browser.sign_in(crate::support::ADMIN_TOKEN).await;
    for (path, spanish, english) in [
        ("/console", "Requiere atención", "Needs a person"),
        ("/console", ">Desde</th>", ">Since</th>"),
        ("/console", "Actualizado:", "Updated:"),
        ("/console/sessions", "No hay cargas", "No charging sessions"),
        (
            "/console/sessions",
            ">Terminadas</option>",
            ">Ended</option>",
        ),
        ("/console/id-tags", "Quién puede cargar", "Who may charge"),
        ("/console/journal", "Qué costó", "What was hard"),
        ("/console/tokens", "Crear un token", "Make a token"),
        ("/console/tokens", "solo se guarda su hash", "stored hashed"),
        (
            "/console/stations/CP-1/availability?to=inoperative",
            "¿Poner fuera de servicio Uno?",
            "Take out of use",
        ),
        ("/console/drills", "Simulacros", "Drills"),
        ("/console/about", "Base de datos", "Database"),
    ] {
        let page = browser.page(path).await;
        assert!(
            page.contains(spanish) && !page.contains(english),
            "{path}: {page}"
        );
    }
    // The map's angles too.
    let page = browser
        .page_when("/console", |page| page.contains("aria-label=\"Uno: "))
        .await;
    assert!(page.contains("° O</text>"), "{page}");
    assert!(
        page.contains(">0,6") && !page.contains("° W</text>"),
        "{page}"
    );
    // And why a charger left.
    let charger = server.charger("CP-1").connect().await;
    charger.close().await;
    browser
        .page_when("/console/stations/CP-1/history", |page| {
            page.contains("Conexión terminada (la cerró el cargador)")
        })
        .await;
    // Chosen by hand, it stays so.
    let fields = [("language", "en"), ("next", "/console/about")];
    let answer = browser.send("/console/preferences", &fields).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "/console/about")
    );
    let page = browser.page("/console/about").await;
    assert!(
        page.contains("<html lang=\"en\"") && page.contains("Database"),
        "{page}"
    );
    let answer = browser
        .send("/console/preferences", &[("theme", "dark")])
        .await;
    assert_eq!(answer.header("location"), "/console");
    assert!(
        browser
            .page("/console")
            .await
            .contains("data-theme=\"dark\"")
    );
    // What was searched for may look like an address.
    let search = "/console?q=http://a";
    let fields = [("language", "en"), ("next", search)];
    let answer = browser.send("/console/preferences", &fields).await;
    assert_eq!(answer.header("location"), search);
    // Nowhere else is gone to.
    let fields = [("language", "es"), ("next", "https://evil.example/")];
    let answer = browser.send("/console/preferences", &fields).await;
    assert_eq!(answer.header("location"), "/console");
}

async fn a_list_is_searched_filtered_sorted_and_paged(backend: Backend) {
    let server = Server::start(backend).await;
    for number in 1..=60 {
        let body =
            json!({"id": format!("CP-{number:02}"), "name": format!("Calle {}", 100 - number)});
        server.operator().post("stations", body).await.expect(201);
    }
    let status = json!({"status": "faulted"});
    server
        .operator()
        .put("stations/CP-07/status", status)
        .await
        .ok();
    let (mut browser, _) = Browser::signed_in(&server, "viewer").await;
    let listed = |page: &str| -> Vec<String> {
        let rows = page.split("<tr data-station=\"").skip(1);
        rows.map(|row| row.split('"').next().unwrap().to_owned())
            .collect()
    };
    // The broken one first.
    let page = browser
        .page_when("/console", |page| page.contains("1–25 of 60"))
        .await;
    assert_eq!(listed(&page)[0], "CP-07");
    assert_eq!(listed(&page).len(), 25);
    let page = browser.page("/console?sort=id&page=3").await;
    assert_eq!(listed(&page).first().unwrap(), "CP-51");
    assert_eq!(listed(&page).len(), 10);
    assert!(page.contains("51–60 of 60") && page.contains("page=2") && !page.contains("page=4"));
    let page = browser.page("/console?sort=name").await;
    assert_eq!(listed(&page)[0], "CP-60");
    let page = browser.page("/console?q=cALLE+93").await;
    assert_eq!(listed(&page), ["CP-07"]);
    assert!(page.contains("of 60 stations"), "{page}");
    for (status, found) in [
        ("faulted", 1),
        ("trouble", 1),
        ("unknown", 25),
        ("available", 0),
    ] {
        let page = browser.page(&format!("/console?status={status}")).await;
        assert_eq!(listed(&page).len(), found, "{status}");
    }
    // Nonsense is borne.
    for query in [
        "page=0",
        "page=999",
        "page=x",
        "sort=;",
        "status=%00",
        "box=1,2",
    ] {
        browser.page(&format!("/console?{query}")).await;
    }
}

async fn what_needs_a_person_comes_first(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    server.enter("CP-2").await;
    let (mut browser, _) = Browser::signed_in(&server, "viewer").await;
    let page = browser.page("/console").await;
    assert!(page.contains("Nothing needs you now."), "{page}");
    assert!(page.contains("<title>Overview · Enchufe</title>"), "{page}");

    let mut charger = server.charger("CP-1").connect().await;
    charger.boot().await;
    charger.status(1, "Available").await;
    // A session that cannot be billed, a command that fails, and then it is gone.
    charger.stop(4_711, 500, "2026-05-17T09:00:00Z").await;
    let id = server.order_soon("CP-1", "clear_cache", json!({})).await;
    let call = charger.next_call().await;
    charger.answer(&call, json!({"status": "Rejected"})).await;
    server.ended_command(&id).await;
    charger.close().await;
    server.station_when("CP-1", "online", false).await;
    let all_told = |page: &str| page.contains("<title>(1) Overview · Enchufe</title>");
    let page = browser.page_when("/console", all_told).await;
    for told in [
        "no connection",
        "Command failed",
        "Forget cached tags: rejected",
        "Not ready to be billed",
        "Available → Offline",
    ] {
        assert!(page.contains(told), "{told}: {page}");
    }
}

async fn what_more_needs_a_person_is_found(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    server.accept_tag("ABC").await;
    let mut charger = server.charger("CP-1").connect().await;
    charger.boot().await;
    charger.status(1, "Faulted").await;
    let good = charger.start(1, "ABC", 0, "2026-05-17T09:00:00Z").await;
    charger.stop(good, 500, "2026-05-17T09:10:00Z").await;
    // Stops of what never began.
    for unknown in 4_001..=4_053 {
        charger.stop(unknown, 500, "2026-05-17T09:00:00Z").await;
    }
    for _ in 0..4 {
        let id = server.order_soon("CP-1", "clear_cache", json!({})).await;
        let call = charger.next_call().await;
        charger.answer(&call, json!({"status": "Rejected"})).await;
        server.ended_command(&id).await;
    }
    let (mut browser, _) = Browser::signed_in(&server, "viewer").await;
    let all_told = |page: &str| page.contains("Commands failed: 2 more");
    let page = browser.page_when("/console", all_told).await;
    assert_eq!(page.matches("Forget cached tags: rejected").count(), 4 * 2);
    assert!(page.contains("Not ready to be billed: 49 more"), "{page}");
    // All stations that need somebody are shown.
    assert!(!page.contains("Stations: "), "{page}");
    let path = "/console/sessions?which=unbilled";
    assert!(page.contains(&format!("href=\"{path}\"")), "{page}");

    let rows = |page: &str| page.matches("<tr data-key=").count();
    let page = browser.page(path).await;
    assert_eq!(rows(&page), 50);
    assert!(!page.contains("Ready to be billed"), "{page}");
    let next = page.split("href=\"/console/sessions?").find_map(|rest| {
        let query = rest.split('"').next().unwrap();
        query
            .contains("before=")
            .then(|| query.replace("&#38;", "&"))
    });
    let page = browser
        .page(&format!("/console/sessions?{}", next.unwrap()))
        .await;
    assert_eq!(rows(&page), 3);
    // Back at the newest they are still the same sessions.
    let newest = "<a class=\"button\" href=\"/console/sessions?which=unbilled\">";
    assert!(page.contains(newest), "{page}");
    charger.close().await;
}

async fn a_page_that_is_not_there_says_so(backend: Backend) {
    let server = Server::start(backend).await;
    let (mut browser, _) = Browser::signed_in(&server, "admin").await;
    for path in [
        "/console/nowhere",
        "/console/stations/NOBODY",
        "/console/stations/a%20b",
        "/console/stations/%ff",
        "/console/assets/%ff",
        "/console/stations/NOBODY/history",
        "/console/sessions/x",
        "/console/sessions/0190c9d2-7d0b-7000-8000-5d7a1f7a2b11",
        "/console/journal/x",
        "/console/id-tags/NOBODY/delete",
        "/console/tokens/x/revoke",
        "/console/drills/abort",
        "/console/assets/nothing.css",
    ] {
        let answer = browser.open(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(
            answer.text.contains("There is nothing here."),
            "{path}: {answer:?}"
        );
        assert!(answer.header("content-type").starts_with("text/html"));
    }
    let answer = browser.client().delete("/console/journal").await;
    assert_eq!(answer.status, 405);
}

/// Five thousand stations around Valencia.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_stations_are_no_strain() {
    let server = Server::start(Backend::Sqlite).await;
    let enter = |number: u32| {
        let app = server.app();
        let spread = |steps: u32| f64::from(number * steps % 5_000) / 5_000.0;
        let new = NewStation {
            id: Some(StationId::new(&format!("CP-{number}")).unwrap()),
            name: format!("Aparcamiento {number}"),
            location: Some(Location {
                latitude: 39.0 + spread(37),
                longitude: -1.0 + spread(101),
                address: Some(format!("Calle de la Paz {number}, Valencia")),
            }),
            evses: vec![EvseSpec::simple(), EvseSpec::simple()],
        };
        async move { app.create_station(new, None).await.map(drop) }
    };
    let entered = futures_util::stream::iter(0..5_000).map(enter);
    let entered: Vec<_> = entered.buffer_unordered(256).collect().await;
    assert!(entered.into_iter().all(|entered| entered.is_ok()));

    let (mut browser, _) = Browser::signed_in(&server, "viewer").await;
    browser.page("/console").await;
    let started = Instant::now();
    let page = browser.page("/console").await;
    // A debug build on a busy machine; docs/performance.md has the release build's figures.
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    assert!(page.contains("1–25 of 5,000"), "{page}");
    let mut bytes = page.len();
    for asset in [
        "rel=\"stylesheet\" href=\"",
        "script src=\"",
        "data-icons=\"",
        "rel=\"icon\" href=\"",
    ] {
        let path = page.split(asset).nth(1).unwrap().split('"').next().unwrap();
        let answer = browser.open(path).await;
        assert_eq!(answer.status, 200, "{path}");
        bytes += answer.text.len();
    }
    assert!(
        bytes < MOST_BYTES,
        "{bytes} bytes, {} of them the page",
        page.len()
    );
    // Marks on the map stand for all of them.
    let marks = page.matches("<g class=\"mark").count();
    assert!((20..130).contains(&marks), "{marks}");
}
