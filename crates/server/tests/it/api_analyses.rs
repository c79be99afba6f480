//! The embedded analyser at work: entries read, stories told, without any network.

use http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Backend, Client, Server};

both!(
    an_entry_is_read_and_what_was_read_is_kept,
    the_newest_analyses_are_kept,
    a_station_without_trouble_has_a_short_story,
    a_repeated_request_gets_the_same_story,
);

async fn post(client: &Client, path: &str) -> Answer {
    client.send(Method::POST, path, None).await
}

async fn write(server: &Server, work: &str, struggle: &str, intention: &str) -> String {
    let body = json!({"work": work, "struggle": struggle, "intention": intention});
    let made = server
        .operator()
        .post("journal/entries", body)
        .await
        .expect(201);
    format!("journal/entries/{}", made["entry"]["id"].as_str().unwrap())
}

async fn an_entry_is_read_and_what_was_read_is_kept(backend: Backend) {
    let server = Server::start(backend).await;
    let operator = server.operator();
    for (parts, sentiment, summary, topic) in [
        (
            [
                "Repaired the card reader",
                "It works perfectly again",
                "Order spare parts",
            ],
            "positive",
            "Repaired the card reader. It works perfectly again.",
            "spare part",
        ),
        (
            [
                "El cargador no enciende",
                "Placa destruida, un desastre",
                "Pedir otra placa",
            ],
            "negative",
            "El cargador no enciende. Placa destruida, un desastre.",
            "cargador",
        ),
    ] {
        let [work, struggle, intention] = parts;
        let entry = write(&server, work, struggle, intention).await;
        let read = post(&operator, &format!("{entry}/analyze"))
            .await
            .expect(200);
        assert_eq!(
            format!("journal/entries/{}", read["entry_id"].as_str().unwrap()),
            entry
        );
        assert_eq!(
            (&read["sentiment"], &read["summary"]),
            (&json!(sentiment), &json!(summary))
        );
        let topics = read["topics"].as_array().unwrap();
        assert!(
            (2..=4).contains(&topics.len()) && topics.contains(&json!(topic)),
            "{topics:?}"
        );
        assert_eq!(read["model"], "embedded");

        // Asked again it answers from the store; asked anew, anew.
        assert_eq!(
            post(&operator, &format!("{entry}/analyze"))
                .await
                .expect(200),
            read
        );
        let anew = post(&operator, &format!("{entry}/analyze?fresh=true"))
            .await
            .expect(200);
        assert_ne!(anew["created_at"], read["created_at"]);
        let kept = server
            .viewer()
            .pages(&format!("{entry}/analyses"), "analyses", 1)
            .await;
        assert_eq!(kept, [anew, read]);
    }
    for path in [
        "journal/entries/7",
        "journal/entries/0198c1a2-7b1e-4c44-9d0a-5f2e8a1b3c4d",
    ] {
        let missing = post(&operator, &format!("{path}/analyze"))
            .await
            .problem(404);
        assert_eq!(missing["detail"], "Entry not found");
        server
            .viewer()
            .get(&format!("{path}/analyses"))
            .await
            .problem(404);
    }
    let metrics = server.metrics().await;
    let labels = ["model=\"embedded\"", "outcome=\"ok\""];
    assert_eq!(metrics.count("enchufe_llm_requests_total", &labels), 4);
}

async fn the_newest_analyses_are_kept(backend: Backend) {
    let server = Server::start(backend).await;
    let entry = write(&server, "Work", "Nothing", "More").await;
    let mut last = Value::Null;
    for _ in 0..53 {
        last = post(&server.operator(), &format!("{entry}/analyze?fresh=true"))
            .await
            .expect(200);
    }
    let kept = server
        .viewer()
        .pages(&format!("{entry}/analyses"), "analyses", 20)
        .await;
    assert_eq!((kept.len(), &kept[0]), (50, &last));
    server.operator().delete(&entry).await.expect(200);
    server
        .viewer()
        .get(&format!("{entry}/analyses"))
        .await
        .problem(404);
}

async fn a_station_without_trouble_has_a_short_story(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    let story = post(&server.operator(), "stations/CP-1/analyze")
        .await
        .expect(200);
    assert_eq!(story["what_happened"].as_array().unwrap().len(), 1);
    assert!(
        story["what_happened"][0]["text"]
            .as_str()
            .unwrap()
            .starts_with("Nothing out of the ordinary")
    );
    assert_eq!(
        (&story["likely_cause"], &story["next_step"]),
        (&json!([]), &json!([]))
    );
    let body = json!({"work": "Revisión de la estación", "struggle": "Ninguna", "intention": "Volver", "station_id": "CP-1"});
    let made = server
        .operator()
        .post("journal/entries", body)
        .await
        .expect(201);
    let story = post(&server.operator(), "stations/CP-1/analyze?days=1")
        .await
        .expect(200);
    let quoted = &story["what_happened"][1];
    assert_eq!(quoted["entries"], json!([made["entry"]["id"]]));
    assert!(
        quoted["text"]
            .as_str()
            .unwrap()
            .contains("Revisión de la estación"),
        "{quoted}"
    );
    // In the language of its journal.
    assert!(
        story["what_happened"][0]["text"]
            .as_str()
            .unwrap()
            .starts_with("Nada fuera")
    );

    post(&server.operator(), "stations/nobody/analyze")
        .await
        .problem(404);
    for wrong in ["days=0", "days=31", "days=x", "fresh=true"] {
        post(
            &server.operator(),
            &format!("stations/CP-1/analyze?{wrong}"),
        )
        .await
        .problem(422);
    }
}

async fn a_repeated_request_gets_the_same_story(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("CP-1").await;
    let once = server.operator().with("idempotency-key", "k");
    let first = post(&once, "stations/CP-1/analyze").await.expect(200);
    server
        .operator()
        .patch("stations/CP-1", json!({"name": "New"}))
        .await
        .expect(200);
    assert_eq!(
        post(&once, "stations/CP-1/analyze").await.expect(200),
        first
    );
    assert_ne!(
        post(&server.operator(), "stations/CP-1/analyze")
            .await
            .expect(200),
        first
    );
    post(&once, "stations/CP-1/analyze?days=2")
        .await
        .problem(422);
}
