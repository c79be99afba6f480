//! Commands: carried to the one charger they are for, and always ended: accepted, rejected, failed,
//! timed out or lost (pitfall 16).

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Backend, Charger, Server};

const QUICK: (&str, &str) = ("COMMAND_TIMEOUT", "1s");

async fn ready(backend: Backend) -> (Server, Charger) {
    ready_with(backend, &[]).await
}

async fn ready_with(backend: Backend, settings: &[(&str, &str)]) -> (Server, Charger) {
    let server = Server::start_with(backend, settings).await;
    server.enter("CP-1").await;
    let mut charger = server.charger("CP-1").connect().await;
    charger.boot().await;
    (server, charger)
}

both!(
    every_answer_has_its_outcome,
    a_refusal_fails_with_the_chargers_own_words,
    a_command_without_an_answer_times_out_once,
    what_is_under_way_when_the_socket_closes_is_lost,
    a_restart_leaves_no_command_open,
    a_station_that_is_offline_takes_no_command,
);

/// Gives a command, has the charger answer it, and gives the command as it ended.
async fn obeyed(
    (server, charger): (&Server, &mut Charger),
    command: &str,
    parameters: Value,
    conf: &Value,
) -> Value {
    let order = server.order("CP-1", command, parameters);
    let obey = async {
        let call = charger.next_call().await;
        charger.answer(&call, conf.clone()).await;
    };
    tokio::join!(order, obey).0
}

async fn every_answer_has_its_outcome(backend: Backend) {
    let (server, mut charger) = ready(backend).await;
    let parameters = |command: &str| match command {
        "unlock_connector" => json!({"evse": 1}),
        "change_configuration" => json!({"key": "HeartbeatInterval", "value": "60"}),
        _ => json!({}),
    };
    for (command, status, outcome, detail) in [
        ("reset", "Accepted", "accepted", ""),
        ("reset", "Rejected", "rejected", ""),
        ("unlock_connector", "Unlocked", "accepted", ""),
        ("unlock_connector", "UnlockFailed", "failed", "lock"),
        (
            "unlock_connector",
            "NotSupported",
            "rejected",
            "NotSupported",
        ),
        (
            "change_configuration",
            "RebootRequired",
            "accepted",
            "reset",
        ),
        (
            "change_configuration",
            "NotSupported",
            "rejected",
            "NotSupported",
        ),
        // From the future.
        ("reset", "Tomorrow", "rejected", "Tomorrow"),
    ] {
        let conf = json!({"status": status});
        let parameters = parameters(command);
        let ended = obeyed((&server, &mut charger), command, parameters, &conf).await;
        assert_eq!(ended["outcome"], outcome, "{command} {conf}");
        assert!(
            ended["detail"].as_str().unwrap_or("").contains(detail),
            "{ended}"
        );
        assert_eq!(ended["response"], conf);
        assert!(ended["completed_at"].is_string());
    }
    for (command, conf, outcome) in [
        (
            "get_configuration",
            json!({"unknownKey": ["x"]}),
            "accepted",
        ),
        // No answer at all.
        ("reset", json!({}), "failed"),
        ("reset", json!([]), "failed"),
    ] {
        let ended = obeyed((&server, &mut charger), command, json!({}), &conf).await;
        assert_eq!(
            (&ended["outcome"], &ended["response"]),
            (&json!(outcome), &conf)
        );
    }
    let metrics = server.metrics().await;
    let count = |outcome: &str| {
        let outcome = format!("outcome=\"{outcome}\"");
        metrics.count("enchufe_commands_total", &[&outcome])
    };
    assert_eq!(
        (count("accepted"), count("rejected"), count("failed")),
        (4, 4, 3)
    );
}

async fn a_refusal_fails_with_the_chargers_own_words(backend: Backend) {
    let (server, mut charger) = ready(backend).await;
    let order = server.order("CP-1", "clear_cache", json!({}));
    let refuse = async {
        let call = charger.next_call().await;
        charger
            .refuse(&call, "NotSupported", "no <b>cache</b> here")
            .await;
    };
    let (ended, ()) = tokio::join!(order, refuse);
    assert_eq!(ended["outcome"], "failed");
    assert_eq!(ended["detail"], "NotSupported: no <b>cache</b> here");
}

async fn a_command_without_an_answer_times_out_once(backend: Backend) {
    let (server, mut charger) = ready_with(backend, &[QUICK]).await;
    let (ended, call) = tokio::join!(
        server.order("CP-1", "reset", json!({})),
        charger.next_call()
    );
    assert_eq!(ended["outcome"], "timed_out");
    // Its answer comes after all: the outcome stands, and the connection goes on.
    charger.answer(&call, json!({"status": "Accepted"})).await;
    let order = server.order("CP-1", "clear_cache", json!({}));
    let obey = async {
        let call = charger.next_call().await;
        assert_eq!(call.action, "ClearCache");
        charger.answer(&call, json!({"status": "Accepted"})).await;
    };
    assert_eq!(tokio::join!(order, obey).0["outcome"], "accepted");
    let id = ended["id"].as_str().unwrap();
    assert_eq!(server.ended_command(id).await, ended);
    assert_eq!(server.count_events("CP-1", "command.ended").await, 2);
}

async fn what_is_under_way_when_the_socket_closes_is_lost(backend: Backend) {
    let (server, mut charger) = ready(backend).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(server.order_soon("CP-1", "clear_cache", json!({})).await);
    }
    // One went out, two wait behind it.
    charger.next_call().await;
    drop(charger);
    let mut details = Vec::new();
    for id in &ids {
        let ended = server.ended_command(id).await;
        assert_eq!(ended["outcome"], "lost", "{ended}");
        details.push(ended["detail"].as_str().unwrap().to_owned());
    }
    assert!(details[0].contains("not known"), "{details:?}");
    assert!(
        details[1].contains("before the command was sent"),
        "{details:?}"
    );
    // The next connection hears nothing of them.
    let mut charger = server.charger("CP-1").connect().await;
    charger.idle(Duration::from_millis(200)).await;
}

async fn a_restart_leaves_no_command_open(backend: Backend) {
    let (mut server, mut charger) = ready(backend).await;
    let sent = server.order_soon("CP-1", "clear_cache", json!({})).await;
    let waiting = server.order_soon("CP-1", "reset", json!({})).await;
    charger.next_call().await;
    server.restart().await;
    for id in [sent, waiting] {
        let command = server.viewer().get(&format!("commands/{id}")).await.ok();
        assert_eq!(command["outcome"], "lost");
    }
}

async fn a_station_that_is_offline_takes_no_command(backend: Backend) {
    let (server, charger) = ready(backend).await;
    charger.close().await;
    server.station_when("CP-1", "online", false).await;
    let body = json!({"command": "reset", "parameters": {}});
    let operator = server.operator();
    let problem = operator
        .post("stations/CP-1/commands", body.clone())
        .await
        .expect(409);
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("not connected")
    );
    let unknown = operator.post("stations/CP-9/commands", body).await;
    unknown.expect(404);
    assert_eq!(server.count_events("CP-1", "command.created").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_is_said_in_the_words_of_1_6() {
    let (server, mut charger) = ready(Backend::Sqlite).await;
    let data = json!({"vendor_id": "Acme", "message_id": "M", "data": "<'\"&>"});
    let commands = [
        ("reset", json!({}), "Reset", json!({"type": "Soft"})),
        (
            "reset",
            json!({"type": "hard"}),
            "Reset",
            json!({"type": "Hard"}),
        ),
        (
            "unlock_connector",
            json!({"evse": 1}),
            "UnlockConnector",
            json!({"connectorId": 1}),
        ),
        (
            "change_availability",
            json!({"availability": "inoperative"}),
            "ChangeAvailability",
            json!({"connectorId": 0, "type": "Inoperative"}),
        ),
        (
            "change_availability",
            json!({"evse": 2, "connector": 1, "availability": "operative"}),
            "ChangeAvailability",
            json!({"connectorId": 2, "type": "Operative"}),
        ),
        (
            "change_configuration",
            json!({"key": "K", "value": "'; DROP TABLE x"}),
            "ChangeConfiguration",
            json!({"key": "K", "value": "'; DROP TABLE x"}),
        ),
        (
            "get_configuration",
            json!({"keys": ["K"]}),
            "GetConfiguration",
            json!({"key": ["K"]}),
        ),
        ("clear_cache", json!({}), "ClearCache", json!({})),
        (
            "trigger_message",
            json!({"message": "meter_values", "evse": 1}),
            "TriggerMessage",
            json!({"requestedMessage": "MeterValues", "connectorId": 1}),
        ),
        (
            "request_start_transaction",
            json!({"id_tag": "TAG", "evse": 1}),
            "RemoteStartTransaction",
            json!({"connectorId": 1, "idTag": "TAG"}),
        ),
        (
            "request_stop_transaction",
            json!({"transaction_id": "4711"}),
            "RemoteStopTransaction",
            json!({"transactionId": 4711}),
        ),
        (
            "data_transfer",
            data,
            "DataTransfer",
            json!({"vendorId": "Acme", "messageId": "M", "data": "<'\"&>"}),
        ),
    ];
    for (command, parameters, action, payload) in commands {
        let order = server.order("CP-1", command, parameters);
        let obey = async {
            let call = charger.next_call().await;
            assert_eq!((call.action.as_str(), &call.payload), (action, &payload));
            assert!(call.id.len() <= 36);
            charger.answer(&call, json!({"status": "Accepted"})).await;
        };
        let ended = tokio::join!(order, obey).0;
        assert_eq!(ended["outcome"], "accepted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_1_6_cannot_say_fails_at_once() {
    let (server, mut charger) = ready(Backend::Sqlite).await;
    for (command, parameters) in [
        (
            "request_start_transaction",
            json!({"id_tag": "x".repeat(36)}),
        ),
        (
            "request_stop_transaction",
            json!({"transaction_id": "a-uuid"}),
        ),
        ("unlock_connector", json!({"evse": 1, "connector": 2})),
    ] {
        let ended = server.order("CP-1", command, parameters).await;
        assert_eq!(ended["outcome"], "failed");
        assert!(
            ended["detail"].as_str().unwrap().contains("OCPP 1.6"),
            "{ended}"
        );
    }
    charger.idle(Duration::from_millis(100)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_stopped_by_its_own_id() {
    let (server, mut charger) = ready(Backend::Sqlite).await;
    server.accept_tag("TAG").await;
    let id = charger.start(1, "TAG", 0, "2026-11-01T10:00:00Z").await;
    let session = server.only_session("CP-1").await;
    let order = server.order(
        "CP-1",
        "request_stop_transaction",
        json!({"session_id": session["id"]}),
    );
    let obey = async {
        let call = charger.next_call().await;
        assert_eq!(call.payload, json!({"transactionId": id}));
        charger.answer(&call, json!({"status": "Accepted"})).await;
    };
    assert_eq!(tokio::join!(order, obey).0["outcome"], "accepted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_full_fails_what_comes_on_top() {
    // One is out, sixteen wait (`ocpp::peer::MAX_WAITING`).
    const TAKEN: usize = 1 + ocpp::peer::MAX_WAITING;
    let (server, mut charger) = ready(Backend::Sqlite).await;
    let mut ids = Vec::new();
    for _ in 0..TAKEN + 3 {
        ids.push(server.order_soon("CP-1", "clear_cache", json!({})).await);
    }
    for id in &ids[TAKEN..] {
        let ended = server.ended_command(id).await;
        assert_eq!(ended["outcome"], "failed");
        assert!(
            ended["detail"].as_str().unwrap().contains("too many"),
            "{ended}"
        );
    }
    for id in &ids[..TAKEN] {
        let call = charger.next_call().await;
        charger.answer(&call, json!({"status": "Accepted"})).await;
        assert_eq!(server.ended_command(id).await["outcome"], "accepted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_reaches_the_charger_it_is_for_and_no_other() {
    let (server, mut charger) = ready(Backend::Sqlite).await;
    server.enter("CP-2").await;
    let mut other = server.charger("CP-2").connect().await;
    let order = server.order("CP-1", "clear_cache", json!({}));
    let obey = async {
        let call = charger.next_call().await;
        charger.answer(&call, json!({"status": "Accepted"})).await;
    };
    let (ended, (), ()) = tokio::join!(order, obey, other.idle(Duration::from_millis(200)));
    assert_eq!(ended["station_id"], "CP-1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_wait_reads_the_outcome_later() {
    let (server, mut charger) = ready(Backend::Sqlite).await;
    let body = json!({"command": "clear_cache", "parameters": {}});
    let operator = server.operator().with("idempotency-key", "once");
    for path in ["stations/CP-1/commands", "stations/CP-1/commands"] {
        // The same request again is the same command.
        let answer = operator.post(path, body.clone()).await;
        assert_eq!(answer.expect(202)["outcome"], Value::Null);
        let location = answer.header("location").to_owned();
        assert_eq!(
            server.viewer().get(&location).await.ok()["outcome"],
            Value::Null
        );
    }
    // A wait that is too short is no outcome.
    let answer = operator
        .post("stations/CP-1/commands?wait=1", body.clone())
        .await;
    assert_eq!(answer.expect(202)["outcome"], Value::Null);
    let call = charger.next_call().await;
    charger.answer(&call, json!({"status": "Accepted"})).await;
    let answer = operator.post("stations/CP-1/commands?wait=10", body).await;
    assert_eq!(answer.expect(200)["outcome"], "accepted");
    charger.idle(Duration::from_millis(100)).await;
    let page = server.viewer().get("stations/CP-1/commands").await.ok();
    assert_eq!(page["commands"].as_array().unwrap().len(), 1);
}
