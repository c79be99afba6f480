//! What answers promise, whatever was asked.

use http::StatusCode;
use serde_json::Value;

use super::{Answer, Client};

/// Words of the inside that no client may read.
const INTERNAL: [&str; 10] = [
    "sqlx",
    "select ",
    "insert ",
    "constraint",
    "panicked",
    ".rs",
    "serde",
    "corrupt",
    "postgres",
    "sqlite",
];

impl Answer {
    /// The problem document of a refusal, held against what all of them promise (RFC 9457).
    #[track_caller]
    pub fn problem(&self, status: u16) -> Value {
        let problem = self.expect(status);
        let kind = self.header("content-type");
        assert_eq!(kind, "application/problem+json", "{self:?}");
        let title = StatusCode::from_u16(status).unwrap().canonical_reason();
        assert_eq!(problem["type"], "about:blank", "{self:?}");
        assert_eq!(problem["title"], title.unwrap(), "{self:?}");
        assert_eq!(problem["status"], status, "{self:?}");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(' '), "no sentence: {self:?}");
        for fault in problem["errors"].as_array().into_iter().flatten() {
            assert!(fault["pointer"].is_string(), "{self:?}");
            assert!(!fault["detail"].as_str().unwrap().is_empty(), "{self:?}");
        }
        let told = self.text.to_lowercase();
        let leak = INTERNAL.iter().find(|word| told.contains(**word));
        assert_eq!(leak, None, "internal text: {self:?}");
        problem
    }

    /// Where a request was found not to hold (422), each place once and in order.
    #[track_caller]
    pub fn pointers(&self) -> Vec<String> {
        let problem = self.problem(422);
        let errors = problem["errors"].as_array().expect("errors");
        let pointer = |fault: &Value| fault["pointer"].as_str().unwrap().to_owned();
        let mut pointers: Vec<String> = errors.iter().map(pointer).collect();
        pointers.sort();
        pointers.dedup();
        pointers
    }

    /// The entity tag: there must be one.
    #[track_caller]
    pub fn etag(&self) -> String {
        let tag = self.header("etag");
        assert!(tag.starts_with('"') && tag.len() > 2, "{self:?} {tag}");
        tag.to_owned()
    }
}

impl Client {
    /// Reads a list to its end in pages of so many, and gives everything in it.
    pub async fn pages(&self, path: &str, list: &str, limit: usize) -> Vec<Value> {
        let sign = if path.contains('?') { '&' } else { '?' };
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let answer = self
                .get(&format!("{path}{sign}limit={limit}{cursor}"))
                .await;
            let page = answer.expect(200);
            let items = page[list]
                .as_array()
                .unwrap_or_else(|| panic!("{answer:?}"));
            assert!(items.len() <= limit, "{answer:?}");
            all.extend(items.iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    }
}
