//! A language model that says what a story has it say, behind the two OpenAI-compatible paths.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{Backend, Server};

/// The model's name.
pub const MODEL: &str = "test-model";
/// What its server wants to be shown. It must turn up nowhere else.
pub const KEY: &str = "sk-the-key-of-the-model";
/// What its server says when it fails. Nobody may ever read it.
pub const UPSTREAM: &str = "UPSTREAM-TEXT-NOBODY-MAY-READ";

/// The two ways of asking.
pub const APIS: [&str; 2] = ["chat", "responses"];

/// A model behind a server of its own.
pub struct Model {
    server: MockServer,
    api: &'static str,
}

impl Model {
    pub async fn start(api: &'static str) -> Self {
        let server = MockServer::start().await;
        Self { server, api }
    }

    /// Answers so many questions so; earlier orders come first.
    pub async fn answers(&self, times: u64, answer: ResponseTemplate) {
        let place = match self.api {
            "chat" => "/v1/chat/completions",
            _ => "/v1/responses",
        };
        Mock::given(method("POST"))
            .and(path(place))
            .and(header("authorization", format!("Bearer {KEY}")))
            .and(header("content-type", "application/json"))
            .respond_with(answer)
            .up_to_n_times(times)
            .mount(&self.server)
            .await;
    }

    /// Says a text, at a cost.
    pub async fn says(&self, text: &str, tokens: (u64, u64)) {
        self.answers(1, saying(self.api, text, tokens)).await;
    }

    /// What it was asked, one by one.
    pub async fn asked(&self) -> Vec<Value> {
        let requests = self.server.received_requests().await.unwrap();
        let bodies = requests.iter();
        bodies
            .map(|it| serde_json::from_slice(&it.body).unwrap())
            .collect()
    }

    /// What a server needs to know of it.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        settings(self.api, &format!("{}/v1", self.server.uri()))
    }

    /// A server that asks it.
    pub async fn serve(&self, more: &[(&'static str, &str)]) -> Server {
        serve(self.settings(), more).await
    }
}

/// A server with these settings and more.
pub async fn serve(settings: Vec<(&'static str, String)>, more: &[(&'static str, &str)]) -> Server {
    let mut all: Vec<(&str, &str)> = settings.iter().map(|(k, v)| (*k, v.as_str())).collect();
    all.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    all.extend(more);
    Server::start_with(Backend::Sqlite, &all).await
}

/// The settings for a model at an address: short-tempered, so that stories are short.
pub fn settings(api: &str, address: &str) -> Vec<(&'static str, String)> {
    vec![
        ("LLM_BASE_URL", address.to_owned()),
        ("LLM_MODEL", MODEL.to_owned()),
        ("LLM_API_KEY", KEY.to_owned()),
        ("LLM_API", api.to_owned()),
        ("LLM_TIMEOUT", "1s".to_owned()),
        ("LLM_RETRIES", "0".to_owned()),
    ]
}

/// A text as an API answers it.
pub fn saying(api: &str, text: &str, (input, output): (u64, u64)) -> ResponseTemplate {
    let body = match api {
        "chat" => json!({
            "id": "chatcmpl-1", "object": "chat.completion", "model": MODEL,
            "choices": [{"index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": input, "completion_tokens": output,
                "total_tokens": input + output},
        }),
        _ => json!({
            "id": "resp_1", "object": "response", "model": MODEL, "status": "completed",
            "output": [
                {"type": "reasoning", "summary": []},
                {"type": "message", "role": "assistant",
                    "content": [{"type": "output_text", "text": text, "annotations": []}]},
            ],
            "usage": {"input_tokens": input, "output_tokens": output,
                "total_tokens": input + output},
        }),
    };
    ResponseTemplate::new(200).set_body_json(body)
}

/// A refusal as an API answers it.
pub fn refusing(api: &str) -> ResponseTemplate {
    let body = match api {
        "chat" => json!({
            "choices": [{"message": {"content": null, "refusal": UPSTREAM}}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 2},
        }),
        _ => json!({
            "output": [{"type": "message", "content": [{"type": "refusal", "refusal": UPSTREAM}]}],
            "usage": {"input_tokens": 10, "output_tokens": 2},
        }),
    };
    ResponseTemplate::new(200).set_body_json(body)
}

/// A failure with words of its own.
pub fn failing(status: u16) -> ResponseTemplate {
    let body = json!({"error": {"message": format!("{UPSTREAM} {KEY}"), "type": "error"}});
    ResponseTemplate::new(status).set_body_json(body)
}

/// The address of a server that begins to answer and goes on a byte at a time, for ever.
pub async fn dripping() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4_096]).await;
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                    content-length: 100000\r\n\r\n{";
                let mut sent = stream.write_all(head.as_bytes()).await;
                while sent.is_ok() {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    sent = stream.write_all(b" ").await;
                }
            });
        }
    });
    format!("http://{address}/v1")
}
