//! Commands as people give them. What chargers make of each is told beside the gateway.

use serde_json::{Value, json};

use crate::support::{Backend, Server};

both!(
    a_command_is_taken_on_and_its_outcome_told,
    parameters_that_are_not_needed_may_be_left_out,
    a_command_needs_a_connected_charger,
    a_command_that_means_nothing_is_refused,
    a_secret_is_told_to_the_charger_alone,
    a_session_is_stopped_by_its_id,
    commands_are_listed,
);

async fn a_command_is_taken_on_and_its_outcome_told(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    let mut charger = server.charger("S").connect().await;
    charger.boot().await;
    let reset = json!({"command": "reset", "parameters": {"type": "hard"}});
    let taken = server.operator().post("stations/S/commands", reset).await;
    let command = taken.expect(202);
    let id = command["id"].as_str().unwrap();
    assert_eq!(taken.header("location"), format!("/api/v1/commands/{id}"));
    for (field, value) in [
        ("station_id", json!("S")),
        ("command", json!("reset")),
        ("parameters", json!({"type": "hard"})),
        ("outcome", json!(null)),
        ("completed_at", json!(null)),
    ] {
        assert_eq!(command[field], value, "{field}");
    }
    let call = charger.next_call().await;
    assert_eq!(
        (call.action.as_str(), &call.payload),
        ("Reset", &json!({"type": "Hard"}))
    );
    let open = server
        .viewer()
        .get(taken.header("location"))
        .await
        .expect(200);
    assert_eq!(open["outcome"], Value::Null);
    charger.answer(&call, json!({"status": "Rejected"})).await;
    let ended = crate::support::eventually("the command has an outcome", async || {
        let command = server
            .viewer()
            .get(taken.header("location"))
            .await
            .expect(200);
        (command["outcome"] != Value::Null).then_some(command)
    });
    let ended = ended.await;
    assert_eq!(
        (&ended["outcome"], &ended["response"]),
        (&json!("rejected"), &json!({"status": "Rejected"}))
    );
    assert!(ended["completed_at"].as_str() >= ended["created_at"].as_str());

    // Waited for, the answer is the outcome.
    let clear = json!({"command": "clear_cache", "parameters": {}});
    let operator = server.operator();
    let (answer, ()) = tokio::join!(operator.post("stations/S/commands?wait=20", clear), async {
        let call = charger.next_call().await;
        charger.answer(&call, json!({"status": "Accepted"})).await;
    });
    assert_eq!(answer.expect(200)["outcome"], "accepted");
    // One that does not end in time is shown as it stands.
    let slow = json!({"command": "clear_cache", "parameters": {}});
    let answer = operator.post("stations/S/commands?wait=1", slow).await;
    assert_eq!(answer.expect(202)["outcome"], Value::Null);
}

async fn parameters_that_are_not_needed_may_be_left_out(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    let mut charger = server.charger("S").connect().await;
    charger.boot().await;
    let operator = server.operator();
    for (command, parameters, action, payload) in [
        ("clear_cache", json!({}), "ClearCache", json!({})),
        (
            "get_configuration",
            json!({"keys": []}),
            "GetConfiguration",
            json!({}),
        ),
        (
            "reset",
            json!({"type": "soft"}),
            "Reset",
            json!({"type": "Soft"}),
        ),
    ] {
        for body in [
            json!({"command": command}),
            json!({"command": command, "parameters": null}),
            json!({"parameters": {}, "command": command}),
        ] {
            let taken = operator.post("stations/S/commands", body.clone()).await;
            assert_eq!(taken.expect(202)["parameters"], parameters, "{body}");
            let call = charger.next_call().await;
            assert_eq!((&*call.action, &call.payload), (action, &payload), "{body}");
            charger.answer(&call, json!({"status": "Accepted"})).await;
        }
    }
    // Where one is needed, it is named.
    let body = json!({"command": "unlock_connector"});
    let refused = operator
        .post("stations/S/commands", body)
        .await
        .problem(422);
    assert!(refused.to_string().contains("parameters"), "{refused}");
}

async fn a_command_needs_a_connected_charger(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    let reset = || json!({"command": "reset", "parameters": {}});
    let operator = server.operator();
    operator
        .post("stations/nobody/commands", reset())
        .await
        .problem(404);
    operator.get("stations/nobody/commands").await.problem(404);
    let never = operator
        .post("stations/S/commands", reset())
        .await
        .problem(409);
    assert!(
        never["detail"].as_str().unwrap().contains("not connected"),
        "{never}"
    );
    server.charger("S").connect().await.close().await;
    server.station_when("S", "online", false).await;
    operator
        .post("stations/S/commands?wait=5", reset())
        .await
        .problem(409);
    let listed = operator.get("stations/S/commands").await.expect(200);
    assert_eq!(listed["commands"], json!([]));
    for id in ["0198b0c0-0000-7000-8000-000000000000", "1", "%27"] {
        operator.get(&format!("commands/{id}")).await.problem(404);
    }
}

async fn a_command_that_means_nothing_is_refused(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    let mut charger = server.charger("S").connect().await;
    charger.boot().await;
    let nobody = "0198b0c0-0000-7000-8000-000000000000";
    for body in [
        json!({}),
        json!({"command": "self_destruct", "parameters": {}}),
        json!({"command": "trigger_message"}),
        json!({"command": "reset", "parameters": {"type": "gentle"}}),
        json!({"command": "reset", "parameters": {"kind": "soft"}}),
        json!({"command": "reset", "parameters": {}, "force": true}),
        json!({"command": "unlock_connector", "parameters": {}}),
        json!({"command": "unlock_connector", "parameters": {"evse": 129}}),
        json!({"command": "unlock_connector", "parameters": {"evse": 1, "connector": 0}}),
        json!({"command": "change_availability", "parameters": {"connector": 1, "availability": "operative"}}),
        json!({"command": "change_configuration", "parameters": {"key": "", "value": "1"}}),
        json!({"command": "get_configuration", "parameters": {"keys": vec!["Key"; 101]}}),
        json!({"command": "trigger_message", "parameters": {"message": "gossip"}}),
        json!({"command": "request_start_transaction", "parameters": {"id_tag": "x".repeat(37)}}),
        json!({"command": "request_stop_transaction", "parameters": {}}),
        json!({"command": "request_stop_transaction", "parameters": {"transaction_id": "1", "session_id": nobody}}),
        json!({"command": "data_transfer", "parameters": {"vendor_id": "\u{0}"}}),
    ] {
        let refused = server
            .operator()
            .post("stations/S/commands", body.clone())
            .await;
        assert_eq!(refused.status, 422, "{body}");
        refused.problem(422);
    }
    let reset = || json!({"command": "reset", "parameters": {}});
    for wait in ["61", "-1", "long"] {
        let path = format!("stations/S/commands?wait={wait}");
        assert_eq!(
            server.operator().post(&path, reset()).await.pointers(),
            ["wait"]
        );
    }
    let listed = server.viewer().get("stations/S/commands").await.expect(200);
    assert_eq!(listed["commands"], json!([]));
}

async fn a_secret_is_told_to_the_charger_alone(backend: Backend) {
    let server = Server::start(backend).await;
    server.enter("S").await;
    let mut charger = server.charger("S").connect().await;
    charger.boot().await;
    let operator = server.operator().with("idempotency-key", "one");
    let set = json!({"command": "change_configuration",
        "parameters": {"key": "AuthorizationKey", "value": "hunter2hunter2"}});
    let taken = operator.post("stations/S/commands", set.clone()).await;
    let hidden = json!({"key": "AuthorizationKey", "value": "•••"});
    assert_eq!(taken.expect(202)["parameters"], hidden);
    let again = operator.post("stations/S/commands", set).await;
    assert_eq!(again.expect(202)["parameters"], hidden);
    let viewer = server.viewer();
    let told = async || {
        let listed = viewer.get("stations/S/commands").await;
        let one = viewer.get(taken.header("location")).await;
        let events = viewer.get("stations/S/events").await;
        format!("{}{}{}", listed.text, one.text, events.text)
    };
    assert!(!told().await.contains("hunter2"));
    let call = charger.next_call().await;
    assert_eq!(call.payload["value"], "hunter2hunter2");
    charger
        .refuse(&call, "PropertyConstraintViolation", "hunter2hunter2?")
        .await;
    let ended = crate::support::eventually("the command has an outcome", async || {
        let command = viewer.get(taken.header("location")).await.expect(200);
        (command["outcome"] != Value::Null).then_some(command)
    });
    assert_eq!(ended.await["detail"], "PropertyConstraintViolation: •••?");
    // A charger should not tell it. This one does.
    let read = json!({"command": "get_configuration"});
    let operator = server.operator();
    let (answer, ()) = tokio::join!(operator.post("stations/S/commands?wait=20", read), async {
        let call = charger.next_call().await;
        let keys = [
            ("AuthorizationKey", "hunter2hunter2"),
            ("HeartbeatInterval", "60"),
        ];
        let keys = keys.map(|(key, value)| json!({"key": key, "readonly": false, "value": value}));
        charger
            .answer(&call, json!({"configurationKey": keys}))
            .await;
    });
    let keys = answer.expect(200)["response"]["configurationKey"].clone();
    assert_eq!(
        (&keys[0]["value"], &keys[1]["value"]),
        (&json!("•••"), &json!("60"))
    );
    assert!(!told().await.contains("hunter2"));
}

async fn a_session_is_stopped_by_its_id(backend: Backend) {
    let server = Server::start(backend).await;
    server.accept_tag("TAG").await;
    server.enter("S").await;
    server.enter("T").await;
    let mut charger = server.charger("S").connect().await;
    let mut other = server.charger("T").connect().await;
    charger.boot().await;
    other.boot().await;
    let transaction = charger.start(1, "TAG", 0, "2026-11-01T10:00:00Z").await;
    let session = server.only_session("S").await;
    let stop =
        json!({"command": "request_stop_transaction", "parameters": {"session_id": session["id"]}});
    let wrong = server
        .operator()
        .post("stations/T/commands", stop.clone())
        .await;
    wrong.problem(409);
    let command = server
        .operator()
        .post("stations/S/commands", stop.clone())
        .await
        .expect(202);
    assert_eq!(
        command["parameters"],
        json!({"transaction_id": transaction.to_string()})
    );
    let call = charger.next_call().await;
    assert_eq!(call.payload, json!({"transactionId": transaction}));
    charger.answer(&call, json!({"status": "Accepted"})).await;
    charger.stop(transaction, 100, "2026-11-01T10:10:00Z").await;
    // What has ended cannot be stopped.
    let late = server.operator().post("stations/S/commands", stop).await;
    late.problem(409);
}

async fn commands_are_listed(backend: Backend) {
    let server = Server::start(backend).await;
    let mut given = Vec::new();
    for id in ["S", "T"] {
        server.enter(id).await;
        let mut charger = server.charger(id).connect().await;
        charger.boot().await;
        for keys in [json!(["A"]), json!(["B"]), json!(["C"])] {
            let body = json!({"command": "get_configuration", "parameters": {"keys": keys}});
            let command = server
                .operator()
                .post(&format!("stations/{id}/commands"), body)
                .await;
            let call = charger.next_call().await;
            charger.answer(&call, json!({"configurationKey": []})).await;
            given.push(command.expect(202)["id"].clone());
        }
    }
    for limit in [1, 2, 50] {
        let listed = server
            .viewer()
            .pages("stations/S/commands", "commands", limit)
            .await;
        let ids: Vec<&Value> = listed.iter().map(|command| &command["id"]).collect();
        assert_eq!(ids, [&given[2], &given[1], &given[0]]);
        assert!(listed.iter().all(|command| command["station_id"] == "S"));
    }
}
