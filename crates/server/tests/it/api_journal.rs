//! The field journal: written, read, changed, removed.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, Backend, Server};

both!(
    an_entry_is_written_and_read,
    what_is_no_entry_is_refused,
    what_is_given_changes_and_nothing_else,
    an_entry_is_removed_and_so_is_the_journal,
    the_journal_is_listed_newest_first_and_by_station,
    an_entry_outlives_its_station,
    of_racing_changes_one_wins,
    each_role_does_its_part,
    the_event_log_tells_of_entries_without_their_words,
);

fn body(work: &str) -> Value {
    json!({"work": work, "struggle": "None", "intention": "Watch it"})
}

async fn write(server: &Server, body: Value) -> Answer {
    server.operator().post("journal/entries", body).await
}

fn id(answer: &Answer) -> String {
    answer.json()["entry"]["id"].as_str().unwrap().to_owned()
}

async fn an_entry_is_written_and_read(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    let written = write(
        &server,
        json!({"work": "  Cambié un fusible 🔌\n", "struggle": "La \"tapa\"\ny el tornillo",
            "intention": "x".repeat(256), "station_id": "CP-1"}),
    )
    .await;
    let made = written.expect(201);
    assert_eq!(made["detail"], "Entry created successfully");
    assert_eq!(made.as_object().unwrap().len(), 2);
    let entry = &made["entry"];
    assert_eq!(entry["work"], "Cambié un fusible 🔌");
    assert_eq!(entry["struggle"], "La \"tapa\"\ny el tornillo");
    assert_eq!(
        (&entry["station_id"], &entry["created_at"]),
        (&json!("CP-1"), &entry["updated_at"])
    );
    let uuid: uuid::Uuid = id(&written).parse().unwrap();
    assert_eq!(uuid.get_version_num(), 4);
    let created: jiff::Timestamp = entry["created_at"].as_str().unwrap().parse().unwrap();
    assert!(entry["created_at"].as_str().unwrap().ends_with('Z') && created.as_second() > 0);

    let place = written.header("location").to_owned();
    assert_eq!(place, format!("/api/v1/journal/entries/{uuid}"));
    let read = server.viewer().get(&place).await;
    // The bare entry.
    assert_eq!(
        (read.expect(200), read.etag()),
        (entry.clone(), written.etag())
    );

    for unknown in [
        "0198c1a2-7b1e-4c44-9d0a-5f2e8a1b3c4d",
        "7",
        "a%00b",
        &uuid.simple().to_string(),
    ] {
        let path = format!("journal/entries/{unknown}");
        let missing = server.viewer().get(&path).await.problem(404);
        assert_eq!(missing["detail"], "Entry not found");
        let change = server.operator().patch(&path, json!({})).await;
        assert_eq!(change.problem(404)["detail"], "Entry not found");
        let removal = server.operator().delete(&path).await;
        assert_eq!(removal.problem(404)["detail"], "Entry not found");
    }
}

async fn what_is_no_entry_is_refused(backend: Backend) {
    let server = Server::start(backend).await;
    let long = "x".repeat(257);
    let entry = write(&server, body("Fine")).await;
    let path = format!("journal/entries/{}", id(&entry));
    for field in ["work", "struggle", "intention"] {
        for wrong in [
            json!(""),
            json!("  \n\t "),
            json!(long),
            json!("a\u{0}b"),
            json!(7),
            json!(null),
            json!(["a"]),
        ] {
            let mut new = body("Fine");
            new[field] = wrong.clone();
            assert_eq!(
                write(&server, new).await.pointers(),
                [format!("/{field}")],
                "{wrong}"
            );
            let change = json!({field: wrong});
            let refused = server.operator().patch(&path, change).await;
            assert_eq!(refused.pointers(), [format!("/{field}")], "{wrong}");
        }
        let mut new = body("Fine");
        new.as_object_mut().unwrap().remove(field);
        write(&server, new).await.problem(422);
    }
    for wrong in [json!("nobody"), json!("a b"), json!(""), json!(7)] {
        let mut new = body("Fine");
        new["station_id"] = wrong.clone();
        assert_eq!(
            write(&server, new).await.pointers(),
            ["/station_id"],
            "{wrong}"
        );
        let change = json!({"station_id": wrong});
        let refused = server.operator().patch(&path, change).await;
        assert_eq!(refused.pointers(), ["/station_id"], "{wrong}");
    }
    let refused = server
        .operator()
        .patch(&path, json!({"station_id": null}))
        .await;
    assert_eq!(refused.pointers(), ["/station_id"]);
    let mut new = body("Fine");
    new["mood"] = json!("good");
    write(&server, new).await.problem(422);
    write(&server, json!([])).await.problem(422);
    let all = server.viewer().get("journal/entries").await.expect(200);
    assert_eq!(
        (&all["count"], &all["entries"]),
        (&json!(1), &json!([entry.json()["entry"]]))
    );
}

async fn what_is_given_changes_and_nothing_else(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    let written = write(&server, body("Old")).await;
    let path = format!("journal/entries/{}", id(&written));
    let operator = server.operator();
    let before = written.json()["entry"].clone();
    for nothing in [json!({}), json!({"work": " Old "})] {
        let same = operator.patch(&path, nothing).await;
        assert_eq!(
            (same.expect(200), same.etag()),
            (before.clone(), written.etag())
        );
    }
    let changed = operator
        .patch(&path, json!({"work": " New ", "station_id": "CP-1"}))
        .await;
    let after = changed.expect(200);
    assert_eq!(
        (&after["work"], &after["station_id"]),
        (&json!("New"), &json!("CP-1"))
    );
    for field in ["id", "struggle", "intention", "created_at"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    let time = |entry: &Value| -> jiff::Timestamp {
        entry["updated_at"].as_str().unwrap().parse().unwrap()
    };
    assert!(time(&after) > time(&before));
    assert_ne!(changed.etag(), written.etag());
    assert_eq!(server.viewer().get(&path).await.expect(200), after);

    // The old tag of the resource is worth nothing any more.
    let late = operator.with("if-match", written.etag());
    late.patch(&path, json!({"work": "Late"}))
        .await
        .problem(412);
    late.delete(&path).await.problem(412);
    let timely = operator.with("if-match", changed.etag());
    timely
        .patch(&path, json!({"work": "Newer"}))
        .await
        .expect(200);
}

async fn an_entry_is_removed_and_so_is_the_journal(backend: Backend) {
    let server = Server::start(backend).await;
    let mut written = Vec::new();
    for work in ["One", "Two", "Three"] {
        written.push(id(&write(&server, body(work)).await));
    }
    let path = format!("journal/entries/{}", written[0]);
    let removed = server.operator().delete(&path).await;
    assert_eq!(
        removed.expect(200),
        json!({"detail": "Entry deleted successfully"})
    );
    server.operator().delete(&path).await.problem(404);
    server.viewer().get(&path).await.problem(404);

    server
        .operator()
        .delete("journal/entries")
        .await
        .problem(403);
    let cleared = server.admin().delete("journal/entries").await;
    assert_eq!(
        cleared.expect(200),
        json!({"detail": "All entries deleted"})
    );
    let empty = server.viewer().get("journal/entries").await.expect(200);
    assert_eq!(
        empty,
        json!({"entries": [], "count": 0, "next_cursor": null})
    );
    // An empty one can be removed too, and then be written in.
    server.admin().delete("journal/entries").await.expect(200);
    write(&server, body("Four")).await.expect(201);
}

async fn the_journal_is_listed_newest_first_and_by_station(backend: Backend) {
    let server = Server::start(backend).await;
    for station in ["A", "B"] {
        server.enter(station).await;
    }
    let mut newest_first = Vec::new();
    for number in 0..7 {
        let mut new = body(&format!("Work {number}"));
        if number % 3 > 0 {
            new["station_id"] = json!(["", "A", "B"][number % 3]);
        }
        newest_first.insert(0, write(&server, new).await.json()["entry"].clone());
    }
    let viewer = server.viewer();
    for limit in [1, 3, 7, 50] {
        assert_eq!(
            viewer.pages("journal/entries", "entries", limit).await,
            newest_first
        );
    }
    let page = viewer.get("journal/entries?limit=3").await.expect(200);
    assert_eq!(page["count"], 3);
    // What is removed meanwhile does not shift the pages that follow.
    let cursor = page["next_cursor"].as_str().unwrap();
    let last = page["entries"][2]["id"].as_str().unwrap();
    server
        .operator()
        .delete(&format!("journal/entries/{last}"))
        .await
        .expect(200);
    let next = viewer
        .get(&format!("journal/entries?cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(next["entries"], json!(newest_first[3..]));

    let of_a: Vec<&Value> = newest_first
        .iter()
        .filter(|e| e["station_id"] == "A" && e["id"] != last)
        .collect();
    let listed = viewer
        .pages("journal/entries?station_id=A", "entries", 1)
        .await;
    assert_eq!(json!(listed), json!(of_a));
    for nobody in ["C", "%20"] {
        let page = viewer
            .get(&format!("journal/entries?station_id={nobody}"))
            .await
            .expect(200);
        assert_eq!(page["count"], 0);
    }
    for wrong in [
        "limit=0",
        "limit=501",
        "limit=x",
        "cursor=x",
        "cursor=1.x",
        "cursor=-1",
        "mood=good",
    ] {
        viewer
            .get(&format!("journal/entries?{wrong}"))
            .await
            .problem(422);
    }
}

async fn an_entry_outlives_its_station(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    let mut new = body("Changed a fuse");
    new["station_id"] = json!("CP-1");
    let written = write(&server, new).await;
    let path = format!("journal/entries/{}", id(&written));
    server.operator().delete("stations/CP-1").await.expect(204);
    assert_eq!(
        server.viewer().get(&path).await.expect(200),
        written.json()["entry"]
    );
    // It can still be changed, but not be given to a station that is gone.
    server
        .operator()
        .patch(&path, json!({"work": "Changed two"}))
        .await
        .expect(200);
    let refused = server
        .operator()
        .patch(&path, json!({"station_id": "CP-1"}))
        .await;
    assert_eq!(refused.pointers(), ["/station_id"]);
}

async fn of_racing_changes_one_wins(backend: Backend) {
    let server = Server::start(backend).await;
    let written = write(&server, body("Old")).await;
    let path = format!("journal/entries/{}", id(&written));
    let racer = server.operator().with("if-match", written.etag());
    let change = async |work: &str| racer.patch(&path, json!({"work": work})).await;
    let answers = join_all(["A", "B", "C", "D"].map(change)).await;
    let winners = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(winners, 1, "{answers:?}");
    // Without a condition, all of them go through, one after the other.
    let operator = server.operator();
    let change = async |work: String| operator.patch(&path, json!({"work": work})).await;
    let answers = join_all((0..8).map(|number| change(number.to_string()))).await;
    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "{answers:?}"
    );
}

async fn each_role_does_its_part(backend: Backend) {
    let server = Server::start(backend).await;
    let written = write(&server, body("Fine")).await;
    let path = format!("journal/entries/{}", id(&written));
    let (viewer, anonymous) = (server.viewer(), server.anonymous());
    anonymous.get("journal/entries").await.problem(401);
    anonymous
        .post("journal/entries", body("x"))
        .await
        .problem(401);
    for refused in [
        viewer.post("journal/entries", body("x")).await,
        viewer.patch(&path, json!({"work": "x"})).await,
        viewer.delete(&path).await,
        viewer.delete("journal/entries").await,
        viewer.post(&format!("{path}/analyze"), json!({})).await,
        viewer.post("stations/CP-1/analyze", json!({})).await,
    ] {
        refused.problem(403);
    }
    viewer.get(&path).await.expect(200);
    viewer.get(&format!("{path}/analyses")).await.expect(200);
}

async fn the_event_log_tells_of_entries_without_their_words(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    let mut new = body("A word nobody else uses");
    new["station_id"] = json!("CP-1");
    let written = write(&server, new).await;
    let path = format!("journal/entries/{}", id(&written));
    server
        .operator()
        .patch(&path, json!({"struggle": "Another such word"}))
        .await
        .expect(200);
    server
        .operator()
        .post(&format!("{path}/analyze"), json!({}))
        .await
        .expect(200);
    server.operator().delete(&path).await.expect(200);
    let history = server.history("CP-1").await;
    let told: Vec<&str> = history
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    let expected = [
        "journal.entry_deleted",
        "journal.entry_analyzed",
        "journal.entry_updated",
        "journal.entry_created",
    ];
    assert_eq!(told[..4], expected);
    for event in &history[..4] {
        assert_eq!(event["data"]["entry_id"], id(&written), "{event}");
        assert!(!event.to_string().contains("word"), "{event}");
    }
}
