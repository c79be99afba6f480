//! `ETag` and `If-Match`: an update that is based on what was, is refused.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, Backend, Client, Server};

both!(
    a_stale_change_of_anything_is_refused,
    of_racing_changes_exactly_one_wins,
    a_condition_is_one_entity_tag_or_a_star,
    no_version_comes_twice,
);

const CONNECTOR: &str = "stations/S/evses/1/connectors/1";

/// Every change that a resource's version guards: the method, the path, two bodies that differ.
fn changes() -> Vec<(http::Method, String, [Value; 2])> {
    use http::Method;
    let out = [
        json!({"availability": "inoperative"}),
        json!({"availability": "operative"}),
    ];
    let told = [json!({"status": "charging"}), json!({"status": "faulted"})];
    let place = json!({"location": {"latitude": 1, "longitude": 2}});
    let mut changes = vec![
        (
            Method::PATCH,
            "stations/S".to_owned(),
            [json!({"name": "New"}), place],
        ),
        (
            Method::PATCH,
            CONNECTOR.to_owned(),
            [json!({"type": "cCCS2"}), json!({"max_power_w": 1})],
        ),
    ];
    for place in ["stations/S", "stations/S/evses/1", CONNECTOR] {
        changes.push((Method::PUT, format!("{place}/availability"), out.clone()));
    }
    for place in ["stations/S", CONNECTOR] {
        changes.push((Method::PUT, format!("{place}/status"), told.clone()));
    }
    changes
}

async fn a_stale_change_of_anything_is_refused(backend: Backend) {
    let server = Server::start(backend).await;
    server
        .enter_with("S", json!([{"connectors": [{}, {}]}, {}]))
        .await;
    let operator = server.operator();
    let stale = operator.get("stations/S").await.etag();
    for (method, path, [first, second]) in changes() {
        let change = async |tag: &str, body: &Value| {
            let conditional = operator.with("if-match", tag);
            conditional
                .send(method.clone(), &path, Some(body.clone()))
                .await
        };
        let before = operator.get("stations/S").await;
        let changed = change(&before.etag(), &first).await;
        changed.expect(200);
        assert_ne!(changed.etag(), before.etag(), "{changed:?}");
        // The answer's tag is the one that the next change may be based on, wherever it is read.
        let after = operator.get("stations/S").await;
        assert_eq!(after.etag(), changed.etag());
        assert_eq!(operator.get(CONNECTOR).await.etag(), changed.etag());
        for late in [&stale, &before.etag()] {
            change(late, &second).await.problem(412);
        }
        let unchanged = operator.get("stations/S").await;
        assert_eq!(
            (unchanged.json(), unchanged.etag()),
            (after.json(), after.etag()),
            "{path}"
        );
        change(&after.etag(), &second).await.expect(200);
    }
    for path in [
        "stations/S/evses/1/connectors/2",
        "stations/S/evses/2",
        "stations/S",
    ] {
        let current = operator.get("stations/S").await.etag();
        operator
            .with("if-match", &stale)
            .delete(path)
            .await
            .problem(412);
        operator.get(path).await.expect(200);
        operator
            .with("if-match", &current)
            .delete(path)
            .await
            .expect(204);
    }
}

async fn of_racing_changes_exactly_one_wins(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    for round in 0..20 {
        let tag = server.operator().get("stations/S").await.etag();
        let racer = server.operator().with("if-match", &tag);
        let rename = async |racer: &Client, n: usize| {
            let body = json!({"name": format!("round {round}, racer {n}")});
            racer.patch("stations/S", body).await
        };
        let answers: Vec<Answer> = join_all((0..4).map(|n| rename(&racer, n))).await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert_eq!((won.len(), lost.len()), (1, 3), "{answers:?}");
        for answer in &lost {
            answer.problem(412);
        }
        let read = server.viewer().get("stations/S").await;
        assert_eq!(
            (read.expect(200), read.etag()),
            (won[0].json(), won[0].etag())
        );
    }
    assert_eq!(server.count_events("S", "station.updated").await, 20);
    // Without a condition all of them are carried out, one after the other.
    let rename = async |n: usize| {
        let name = json!({"name": format!("name {n}")});
        server
            .operator()
            .patch("stations/S", name)
            .await
            .expect(200)
    };
    join_all((0..10).map(rename)).await;
    assert_eq!(server.count_events("S", "station.updated").await, 30);
}

async fn a_condition_is_one_entity_tag_or_a_star(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    let tag = server.operator().get("stations/S").await.etag();
    let version = tag.trim_matches('"');
    let rename = async |condition: &str, name: &str| {
        let conditional = server.operator().with("if-match", condition);
        conditional.patch("stations/S", json!({"name": name})).await
    };
    // Ours are strong, and a weak tag matches nothing (RFC 9110 §13.1.1).
    for other in [
        format!("W/{tag}"),
        version.to_owned(),
        "\"\"".to_owned(),
        "\"x\"".to_owned(),
        format!("\"{version}0\""),
        "\"99999999999999999999\"".to_owned(),
        "\"-1\"".to_owned(),
    ] {
        rename(&other, "Never").await.problem(412);
    }
    rename("", "Never").await.problem(400);
    assert_eq!(server.station("S").await["name"], "S");
    rename("*", "Whatever is there").await.expect(200);
}

async fn no_version_comes_twice(backend: Backend) {
    let server = Server::start(backend).await;
    let operator = server.operator();
    let mut seen: Vec<i64> = Vec::new();
    let mut note = |answer: &Answer| {
        let version: i64 = answer.etag().trim_matches('"').parse().unwrap();
        assert!(
            seen.last().is_none_or(|last| *last < version),
            "{seen:?} {version}"
        );
        seen.push(version);
    };
    for life in 0..5 {
        let body = json!({"id": "S", "name": format!("life {life}")});
        let made = operator.post("stations", body).await;
        made.expect(201);
        note(&made);
        for status in ["available", "charging", "faulted"] {
            note(
                &operator
                    .put("stations/S/status", json!({"status": status}))
                    .await,
            );
        }
        // The version of an earlier life opens nothing in this one.
        operator.delete("stations/S").await.expect(204);
        let late = operator.with("if-match", made.etag());
        late.patch("stations/S", json!({"name": "Ghost"}))
            .await
            .problem(404);
    }
    let anew = operator
        .post("stations", json!({"id": "S", "name": "The last"}))
        .await;
    note(&anew);
    for ghost in &seen[..seen.len() - 1] {
        let late = operator.with("if-match", format_args!("\"{ghost}\""));
        late.patch("stations/S", json!({"name": "Ghost"}))
            .await
            .problem(412);
    }
}
