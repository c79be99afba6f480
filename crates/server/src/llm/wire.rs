//! The two ways in which OpenAI-compatible servers are asked, and what they answer.
//!
//! Many servers claim compatibility and each has its liberties, so an answer is looked through
//! rather than parsed into a type: what is needed is taken, the rest is not looked at.

use serde_json::{Value, json};

use super::prompt::Question;
use crate::config::LlmApi;

/// Most tokens of one answer: a story of the longest kind, and some thought before it.
const MAX_ANSWER_TOKENS: u32 = 4_000;
/// More tokens than any one question can cost. A server that claims more is not believed.
const MAX_USAGE: u64 = 10_000_000;

/// What a server answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// The text. `None` when there is none to be found.
    pub(super) text: Option<String>,
    /// Whether the model would not answer.
    pub(super) refused: bool,
    /// Whether it ended because the tokens of one answer were used up.
    pub(super) cut: bool,
    /// What it says it cost.
    pub(super) usage: Option<Usage>,
}

/// Tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Sent.
    pub(super) input: u64,
    /// Received.
    pub(super) output: u64,
}

/// How much of the API a server is taken to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// All of it, with schemas for answers.
    Full,
    /// What every server knows that calls itself compatible: the instructions say what the answer
    /// looks like, and the length has its old name.
    Plain,
}

/// The last part of the path.
pub(super) const fn path(api: LlmApi) -> &'static str {
    match api {
        LlmApi::Chat => "chat/completions",
        LlmApi::Responses => "responses",
    }
}

/// The body of a request. `fault` is what was wrong with the answer before.
pub(super) fn request(
    api: LlmApi,
    dialect: Dialect,
    model: &str,
    question: &Question,
    fault: Option<&'static str>,
) -> Value {
    let data = json!({"role": "user", "content": question.data});
    let again = fault.map(|fault| {
        let content = format!(
            "Your last answer was refused: {fault}. Answer again, with the JSON object alone."
        );
        json!({"role": "user", "content": content})
    });
    let messages = |first: Option<Value>| -> Vec<Value> {
        first
            .into_iter()
            .chain([data.clone()])
            .chain(again.clone())
            .collect()
    };
    let mut body = match api {
        LlmApi::Chat => json!({
            "model": model,
            "messages": messages(Some(json!({"role": "system", "content": question.instructions}))),
        }),
        LlmApi::Responses => json!({
            "model": model,
            "instructions": question.instructions,
            "input": messages(None),
            "max_output_tokens": MAX_ANSWER_TOKENS,
            // The journal is not theirs to keep.
            "store": false,
        }),
    };
    match (api, dialect) {
        (LlmApi::Chat, Dialect::Full) => {
            body["max_completion_tokens"] = json!(MAX_ANSWER_TOKENS);
            body["response_format"] = json!({
                "type": "json_schema",
                "json_schema": {"name": question.name, "strict": true, "schema": question.schema},
            });
        }
        (LlmApi::Chat, Dialect::Plain) => body["max_tokens"] = json!(MAX_ANSWER_TOKENS),
        (LlmApi::Responses, Dialect::Full) => {
            body["text"] = json!({"format": {
                "type": "json_schema",
                "name": question.name, "strict": true, "schema": question.schema,
            }});
        }
        (LlmApi::Responses, Dialect::Plain) => {}
    }
    body
}

/// Looks through an answer.
pub(super) fn answer(api: LlmApi, body: &[u8]) -> Answer {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return Answer::default();
    };
    let usage = usage(&body["usage"]);
    match api {
        LlmApi::Chat => {
            let choice = &body["choices"][0];
            let message = &choice["message"];
            let filtered = choice["finish_reason"] == "content_filter";
            Answer {
                text: text(&message["content"]),
                refused: filtered || says_something(&message["refusal"]),
                cut: choice["finish_reason"] == "length",
                usage,
            }
        }
        LlmApi::Responses => {
            let parts = || {
                let items = body["output"].as_array().into_iter().flatten();
                items.flat_map(|item| item["content"].as_array().into_iter().flatten())
            };
            let all: String = parts().filter_map(|part| part["text"].as_str()).collect();
            let reason = &body["incomplete_details"]["reason"];
            Answer {
                text: Some(all).filter(|text| !text.is_empty()),
                refused: reason == "content_filter"
                    || parts().any(|part| part["type"] == "refusal"),
                cut: reason == "max_output_tokens",
                usage,
            }
        }
    }
}

fn says_something(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

/// A message's content: a text, or parts that have one.
fn text(content: &Value) -> Option<String> {
    let text = match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    };
    Some(text).filter(|text| !text.is_empty())
}

/// The two APIs name the same two numbers differently, and some servers mix the names.
fn usage(usage: &Value) -> Option<Usage> {
    let number = |names: [&str; 2]| {
        let found = names.iter().find_map(|name| usage[*name].as_u64());
        found.map(|tokens| tokens.min(MAX_USAGE))
    };
    let input = number(["prompt_tokens", "input_tokens"]);
    let output = number(["completion_tokens", "output_tokens"]);
    match (input, output) {
        (None, None) => None,
        (input, output) => Some(Usage {
            input: input.unwrap_or(0),
            output: output.unwrap_or(0),
        }),
    }
}

impl Usage {
    /// Both together.
    pub(super) fn total(self) -> i64 {
        i64::try_from(self.input + self.output).unwrap_or(i64::MAX)
    }

    /// What something of this length costs, roughly, for servers that do not say: a token has
    /// about four bytes.
    pub(super) fn guess(sent: usize, received: usize) -> Self {
        let tokens = |bytes: usize| u64::try_from(bytes.div_ceil(4)).unwrap_or(MAX_USAGE);
        Self {
            input: tokens(sent).min(MAX_USAGE),
            output: tokens(received).min(MAX_USAGE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(api: LlmApi, body: &Value) -> Answer {
        answer(api, body.to_string().as_bytes())
    }

    #[test]
    fn a_chat_answer_is_looked_through() {
        let whole = read(
            LlmApi::Chat,
            &json!({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}),
        );
        let usage = Some(Usage {
            input: 7,
            output: 3,
        });
        assert_eq!(
            (whole.text.as_deref(), whole.refused, whole.usage),
            (Some("hi"), false, usage)
        );

        let parts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        let parts = read(
            LlmApi::Chat,
            &json!({"choices": [{"message": {"content": parts}}]}),
        );
        assert_eq!((parts.text.as_deref(), parts.usage), (Some("ab"), None));

        let cut = json!({"choices": [{"message": {"content": ""}, "finish_reason": "length"}]});
        let cut = read(LlmApi::Chat, &cut);
        assert_eq!((cut.text, cut.cut), (None, true));
        for refused in [
            json!({"choices": [{"message": {"content": null, "refusal": "no"}}]}),
            json!({"choices": [{"message": {"content": "x"}, "finish_reason": "content_filter"}]}),
        ] {
            assert!(read(LlmApi::Chat, &refused).refused, "{refused}");
        }
    }

    #[test]
    fn an_answer_of_the_responses_api_is_looked_through() {
        let whole = read(
            LlmApi::Responses,
            &json!({"output": [
                {"type": "reasoning", "summary": []},
                {"type": "message", "content": [{"type": "output_text", "text": "hi"}]}],
                "usage": {"input_tokens": 7, "output_tokens": 3}}),
        );
        let usage = Some(Usage {
            input: 7,
            output: 3,
        });
        assert_eq!(
            (whole.text.as_deref(), whole.refused, whole.usage),
            (Some("hi"), false, usage)
        );
        let cut = json!({"incomplete_details": {"reason": "max_output_tokens"}, "output": []});
        assert!(read(LlmApi::Responses, &cut).cut);
        let refused = json!({"output": [{"content": [{"type": "refusal", "refusal": "no"}]}]});
        assert!(read(LlmApi::Responses, &refused).refused);
    }

    #[test]
    fn nonsense_is_no_answer() {
        for api in [LlmApi::Chat, LlmApi::Responses] {
            for body in [
                "",
                "{",
                "null",
                "[]",
                "{\"choices\":[]}",
                "{\"choices\":7,\"output\":[7]}",
            ] {
                assert_eq!(answer(api, body.as_bytes()), Answer::default(), "{body}");
            }
        }
        let vain = json!({"usage": {"prompt_tokens": 1e300, "completion_tokens": u64::MAX}});
        let usage = read(LlmApi::Chat, &vain).usage.unwrap();
        assert_eq!((usage.input, usage.output), (0, MAX_USAGE));
    }
}
