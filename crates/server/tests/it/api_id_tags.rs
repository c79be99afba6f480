//! Id tags: who may charge.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Backend, Server};

both!(
    a_tag_is_entered_replaced_and_removed,
    a_tag_holds_until_its_date,
    what_is_no_tag_is_refused,
    of_racing_changes_one_wins,
);

async fn a_tag_is_entered_replaced_and_removed(backend: Backend) {
    let server = Server::start(backend).await;
    let operator = server.operator();
    let entered = operator
        .put(
            "id-tags/04A2b3",
            json!({"status": "accepted", "parent": "family"}),
        )
        .await;
    let tag = entered.expect(201);
    // Tags are compared without regard to case.
    assert_eq!(
        (&tag["uid"], &tag["parent"]),
        (&json!("04A2B3"), &json!("FAMILY"))
    );
    assert_eq!(
        (&tag["status"], &tag["status_now"]),
        (&json!("accepted"), &json!("accepted"))
    );
    let read = server.viewer().get("id-tags/04a2B3").await;
    assert_eq!(
        (read.expect(200), read.etag()),
        (tag.clone(), entered.etag())
    );

    let replaced = operator
        .put("id-tags/04A2B3", json!({"status": "blocked"}))
        .await;
    assert_eq!(
        (&replaced.expect(200)["status"], &replaced.json()["parent"]),
        (&json!("blocked"), &json!(null))
    );
    assert_eq!(replaced.json()["created_at"], tag["created_at"]);
    assert_ne!(replaced.etag(), entered.etag());

    // The old tag of the resource is worth nothing any more, for a change as for a removal.
    let late = operator.with("if-match", entered.etag());
    late.put("id-tags/04A2B3", json!({"status": "accepted"}))
        .await
        .problem(412);
    late.delete("id-tags/04A2B3").await.problem(412);
    assert_eq!(
        server.viewer().get("id-tags/04A2B3").await.expect(200),
        replaced.json()
    );
    let timely = operator.with("if-match", replaced.etag());
    let removed = timely.delete("id-tags/04A2B3").await;
    assert_eq!((removed.status, removed.text.as_str()), (204, ""));
    server.viewer().get("id-tags/04A2B3").await.problem(404);
    operator.delete("id-tags/04A2B3").await.problem(404);

    // Nothing that is not there matches, and no version comes twice.
    timely
        .put("id-tags/04A2B3", json!({"status": "accepted"}))
        .await
        .problem(412);
    let anything = operator.with("if-match", "*");
    anything
        .put("id-tags/04A2B3", json!({"status": "accepted"}))
        .await
        .problem(412);
    let anew = operator
        .put("id-tags/04A2B3", json!({"status": "accepted"}))
        .await;
    anew.expect(201);
    assert!(![entered.etag(), replaced.etag()].contains(&anew.etag()));

    operator
        .put("id-tags/00FF", json!({"status": "invalid"}))
        .await
        .expect(201);
    let tags = server.viewer().pages("id-tags", "id_tags", 1).await;
    let uids: Vec<&str> = tags
        .iter()
        .map(|tag| tag["uid"].as_str().unwrap())
        .collect();
    assert_eq!(uids, ["00FF", "04A2B3"]);
}

async fn a_tag_holds_until_its_date(backend: Backend) {
    let server = Server::start(backend).await;
    let put = async |status: &str, date: &str| {
        let body = json!({"status": status, "expires_at": date});
        server.operator().put("id-tags/TAG", body).await.ok()
    };
    let past = put("accepted", "2020-01-01T00:00:00Z").await;
    assert_eq!(
        (&past["status"], &past["status_now"]),
        (&json!("accepted"), &json!("expired"))
    );
    let future = put("accepted", "2999-01-01T01:00:00+01:00").await;
    assert_eq!(
        (&future["status_now"], &future["expires_at"]),
        (&json!("accepted"), &json!("2999-01-01T00:00:00Z"))
    );
    assert_eq!(
        put("blocked", "2020-01-01T00:00:00Z").await["status_now"],
        "blocked"
    );
    for wrong in [json!("tomorrow"), json!(""), json!(1_790_000_000)] {
        let body = json!({"status": "accepted", "expires_at": wrong});
        let refused = server.operator().put("id-tags/TAG", body).await;
        assert_eq!(refused.pointers(), ["/expires_at"], "{wrong}");
    }
}

async fn what_is_no_tag_is_refused(backend: Backend) {
    let server = Server::start(backend).await;
    let accepted = json!({"status": "accepted"});
    let long = "x".repeat(37);
    for uid in [
        long.as_str(),
        "%20",
        "%C3%B1",
        "a%2Fb",
        "a%00b",
        "%2E",
        "%2E%2E",
    ] {
        let path = format!("id-tags/{uid}");
        assert_eq!(
            server
                .operator()
                .put(&path, accepted.clone())
                .await
                .pointers(),
            ["uid"],
            "{uid}"
        );
        server.viewer().get(&path).await.problem(404);
        server.operator().delete(&path).await.problem(404);
    }
    for (body, pointer) in [
        (json!({"status": "welcome"}), "/status"),
        (json!({"status": "accepted", "parent": ""}), "/parent"),
        (json!({"status": "accepted", "parent": "a b"}), "/parent"),
        (json!({"status": "accepted", "parent": ".."}), "/parent"),
        (json!({"status": "accepted", "owner": "Ana"}), "/owner"),
    ] {
        let refused = server.operator().put("id-tags/TAG", body.clone()).await;
        assert!(
            refused.pointers().iter().all(|p| p == pointer),
            "{body} {refused:?}"
        );
    }
    server.viewer().get("id-tags/TAG").await.problem(404);
}

async fn of_racing_changes_one_wins(backend: Backend) {
    let server = Server::start(backend).await;
    let operator = server.operator();
    let mut tag = operator
        .put("id-tags/TAG", json!({"status": "accepted"}))
        .await
        .etag();
    for _ in 0..10 {
        let racer = operator.with("if-match", &tag);
        let change = async |status: &str| racer.put("id-tags/TAG", json!({"status": status})).await;
        let answers = join_all(["accepted", "blocked", "invalid"].map(change)).await;
        let winners: Vec<_> = answers
            .iter()
            .filter(|answer| answer.status == 200)
            .collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        answers
            .iter()
            .filter(|a| a.status != 200)
            .for_each(|lost| drop(lost.problem(412)));
        let read = server.viewer().get("id-tags/TAG").await;
        assert_eq!(
            (read.expect(200), read.etag()),
            (winners[0].json(), winners[0].etag())
        );
        tag = read.etag();
    }
    // Entered by many at once, it is one tag, and one of them entered it.
    let enter = async |status: &str| operator.put("id-tags/NEW", json!({"status": status})).await;
    let answers = join_all(["accepted", "blocked", "invalid", "accepted"].map(enter)).await;
    let entered = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(entered, 1, "{answers:?}");
    for answer in &answers {
        answer.ok();
    }
}
