//! A browser at the console: it keeps cookies, and fills forms in as the page has them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http::Method;

use super::{Access, Answer, Client, PATIENCE};

/// One who looks at pages and sends forms.
pub struct Browser {
    client: Client,
    cookies: BTreeMap<String, String>,
    /// What the last page's forms carry.
    csrf: String,
}

impl Browser {
    /// One that is not signed in, and reads English.
    pub fn at(access: &Access) -> Self {
        Self::of(&access.anonymous().with("accept-language", "en"))
    }

    /// The same over other headers.
    pub fn of(client: &Client) -> Self {
        Self {
            client: client.with("accept", "text/html"),
            cookies: BTreeMap::new(),
            csrf: String::new(),
        }
    }

    /// One that is signed in with a new token of this role; and the token's id.
    pub async fn signed_in(access: &Access, role: &str) -> (Self, String) {
        let body = serde_json::json!({"name": format!("a {role}"), "role": role});
        let made = access.admin().post("tokens", body).await.expect(201);
        let mut browser = Self::at(access);
        let answer = browser.sign_in(made["token"].as_str().unwrap()).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        (browser, made["id"].as_str().unwrap().to_owned())
    }

    /// Presents a token at the door.
    pub async fn sign_in(&mut self, token: &str) -> Answer {
        self.send("/console/sign-in", &[("token", token)]).await
    }

    /// Sends another header too from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.client = self.client.with(name, value);
    }

    /// Opens a page.
    pub async fn open(&mut self, path: &str) -> Answer {
        let answer = self.client().get(path).await;
        self.keep(&answer);
        if let Some(csrf) = field(&answer.text, "csrf") {
            csrf.clone_into(&mut self.csrf);
        }
        answer
    }

    /// Opens a page that must be there.
    pub async fn page(&mut self, path: &str) -> String {
        let answer = self.open(path).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text
    }

    /// The page as soon as it says what is waited for.
    pub async fn page_when(&mut self, path: &str, ready: impl Fn(&str) -> bool) -> String {
        let started = Instant::now();
        loop {
            let page = self.page(path).await;
            if ready(&page) {
                return page;
            }
            assert!(started.elapsed() < PATIENCE, "in vain awaited: {page}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends a form as the last page has it, with these fields filled in.
    pub async fn send(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.csrf.clone();
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend(fields);
        self.send_bare(path, &all).await
    }

    /// Sends these fields and nothing else.
    pub async fn send_bare(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let kind = Some("application/x-www-form-urlencoded");
        let answer = self.client().send_raw(Method::POST, path, kind, form).await;
        self.keep(&answer);
        answer
    }

    /// The same browser, for streams and odd requests.
    pub fn client(&self) -> Client {
        let pairs = self.cookies.iter();
        let pairs: Vec<_> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        self.client.with("cookie", pairs.join("; "))
    }

    /// What the last page's forms carry.
    pub fn csrf(&self) -> &str {
        &self.csrf
    }

    fn keep(&mut self, answer: &Answer) {
        for cookie in answer.headers.get_all("set-cookie") {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// The value of a page's field.
pub fn field<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\""))?;
    rest.split('"').next()
}
