//! What a setting's text must be. Each fault says what is wrong and what would do.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use url::Url;

/// Longest name of a node: a machine's name (RFC 1035) and a port.
const MAX_NODE_NAME: usize = 261;

/// An address with a port.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!(
            "`{text}` is not an IP address with a port; write it like 0.0.0.0:8081 or [::]:8081"
        )
    })
}

/// Where a listener can be reached from its own machine: "any address" is not one to connect to.
pub fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// The name of a node: it stands in the log and in the database.
pub(super) fn node_name(text: &str) -> Result<String, String> {
    let printable = text.chars().all(|c| c.is_ascii_graphic());
    if printable && (1..=MAX_NODE_NAME).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`{text}` is not a node's name; give 1 to {MAX_NODE_NAME} visible ASCII characters"
    ))
}

/// A switch, as people write them.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Ok(true),
        "false" | "off" | "no" | "0" => Ok(false),
        _ => Err(format!(
            "`{text}` is neither on nor off; write true or false"
        )),
    }
}

/// A time in whole units, seconds unless said otherwise, between two bounds in seconds.
pub fn time_between<const MIN: u64, const MAX: u64>(text: &str) -> Result<Duration, String> {
    let time = time(text).ok_or_else(|| {
        format!("`{text}` is not a time; write it like 30, 30s, 1500ms, 5m or 1h")
    })?;
    if (Duration::from_secs(MIN)..=Duration::from_secs(MAX)).contains(&time) {
        Ok(time)
    } else {
        Err(format!(
            "`{text}` is out of range; give between {MIN}s and {MAX}s"
        ))
    }
}

fn time(text: &str) -> Option<Duration> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3_600).map(Duration::from_secs),
        _ => None,
    }
}

/// A filter that the log understands.
pub(super) fn log_filter(text: &str) -> Result<String, String> {
    match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!(
            "`{text}` is not a log filter; write it like info or info,server=debug"
        )),
    }
}

/// An address for people's browsers.
pub(super) fn public_url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err(format!(
            "`{text}` is not a web address; write it like https://charge.example.org"
        )),
    }
}

/// A short text for people, on one line.
pub(super) fn one_line(text: &str) -> Result<String, String> {
    let plain = !text.trim().is_empty() && !text.chars().any(char::is_control);
    if plain && text.chars().count() <= MAX_LINE {
        return Ok(text.trim().to_owned());
    }
    Err(format!("give one line of at most {MAX_LINE} characters"))
}

/// Longest text of one line.
const MAX_LINE: usize = 200;

/// Where a map's tiles come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiles {
    template: String,
    origin: String,
}

impl Tiles {
    /// The address of one.
    pub fn at(&self, zoom: u8, x: u32, y: u32) -> String {
        let address = self.template.replace("{z}", &zoom.to_string());
        let address = address.replace("{x}", &x.to_string());
        address.replace("{y}", &y.to_string())
    }

    /// What a browser must be allowed to fetch pictures from.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

/// A tile server's address with places for zoom, column and row.
pub(super) fn tiles(text: &str) -> Result<Tiles, String> {
    let remedy = "write it like https://tiles.example.org/{z}/{x}/{y}.png";
    let places = ["{z}", "{x}", "{y}"];
    if let Some(missing) = places.iter().find(|place| !text.contains(*place)) {
        return Err(format!("`{text}` has no place {missing}; {remedy}"));
    }
    let tiles = Tiles {
        template: text.to_owned(),
        origin: String::new(),
    };
    match Url::parse(&tiles.at(0, 0, 0)) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(Tiles {
            origin: url.origin().ascii_serialization(),
            ..tiles
        }),
        _ => Err(format!("`{text}` is not a web address; {remedy}")),
    }
}

/// Longest name of a model.
const MAX_MODEL_NAME: usize = 128;

/// Where a language model is served. The key has a variable of its own, so none may stand here,
/// where it would be logged.
pub(super) fn llm_url(text: &str) -> Result<Url, String> {
    let remedy = "write it like https://api.openai.com/v1";
    let url = Url::parse(text).map_err(|fault| format!("not a URL ({fault}); {remedy}"))?;
    let bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !bare {
        return Err(format!(
            "holds more than an address; the key goes into ENCHUFE_LLM_API_KEY; {remedy}"
        ));
    }
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("not a web address; {remedy}"));
    }
    Ok(url)
}

/// Whether what is sent to an address can be read on the way: plain HTTP to another machine.
pub(super) fn is_in_the_clear(url: &Url) -> bool {
    let local = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && !local
}

/// A model's name: it goes into requests, answers and metrics.
pub(super) fn model_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._:/@+-".contains(c);
    if text.is_empty() || text.len() > MAX_MODEL_NAME || !text.chars().all(fits) {
        return Err(format!(
            "`{text}` is no model's name; it has 1 to {MAX_MODEL_NAME} letters, digits and . _ : / @ + -"
        ));
    }
    if text == crate::llm::EMBEDDED {
        return Err(format!(
            "`{text}` is the analyser that needs no model; leave the model and its server unset"
        ));
    }
    Ok(text.to_owned())
}

/// What tokens cost, by model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prices(Vec<(String, Price)>);

/// What a million tokens of a model cost, in millionths of a dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// Tokens that are sent.
    pub input: u64,
    /// Tokens that come back.
    pub output: u64,
}

impl Prices {
    /// What a model costs, if it stands in the table.
    pub fn of(&self, model: &str) -> Option<Price> {
        let found = self.0.iter().find(|(name, _)| name == model);
        found.map(|(_, price)| *price)
    }
}

/// A table of prices: `name=input/output,…`.
pub(super) fn prices(text: &str) -> Result<Prices, String> {
    let entry = |text: &str| {
        let (name, price) = text.trim().split_once('=')?;
        let (input, output) = price.split_once('/')?;
        let price = Price {
            input: millionths(input)?,
            output: millionths(output)?,
        };
        Some((model_name(name.trim()).ok()?, price))
    };
    let all = text.split(',').map(|text| {
        entry(text).ok_or_else(|| {
            format!(
                "`{text}` is no price; write dollars for a million tokens like \
                 gpt-5-mini=0.25/2.00,gpt-5=1.25/10"
            )
        })
    });
    all.collect::<Result<_, _>>().map(Prices)
}

/// A decimal number in millionths; at most six digits on each side of the point.
fn millionths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = |text: &str| text.len() <= 6 && text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    format!("{whole}{fraction:0<6}").parse().ok()
}

/// The URL of a service. Its password is shown nowhere but through [`expose`](Self::expose).
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceUrl(String);

// These faults never quote the text: it may hold a password.
pub(super) fn database_url(text: &str) -> Result<ServiceUrl, String> {
    let remedy = "write it like sqlite://data/enchufe.db or postgres://user@host/enchufe";
    if let Some(path) = text.strip_prefix("sqlite:") {
        return match path.trim_start_matches('/') {
            "" => Err(format!("names no file; {remedy}")),
            ":memory:" => Err(format!("memory does not last; {remedy}")),
            _ => Ok(ServiceUrl(text.to_owned())),
        };
    }
    service_url(text, &["postgres", "postgresql"], remedy)
}

pub(super) fn redis_url(text: &str) -> Result<ServiceUrl, String> {
    let remedy = "write it like redis://host:6379, or rediss://host:6379 for TLS";
    service_url(text, &["redis", "rediss"], remedy)
}

fn service_url(text: &str, schemes: &[&str], remedy: &str) -> Result<ServiceUrl, String> {
    let url = Url::parse(text).map_err(|fault| format!("not a URL ({fault}); {remedy}"))?;
    if !schemes.contains(&url.scheme()) {
        return Err(format!(
            "`{}://` is not served here; {remedy}",
            url.scheme()
        ));
    }
    Ok(ServiceUrl(text.to_owned()))
}

impl ServiceUrl {
    /// The URL of a SQLite file.
    pub(super) fn sqlite(file: &Path) -> Self {
        Self(format!("sqlite://{}", file.display()))
    }

    /// The whole URL, password included, for the one that connects.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the database is an embedded file.
    pub fn is_sqlite(&self) -> bool {
        self.0.starts_with("sqlite:")
    }

    /// Whether the URL holds a password, before the host or among its parameters.
    pub(super) fn has_password(&self) -> bool {
        !self.is_sqlite()
            && Url::parse(&self.0).is_ok_and(|url| {
                url.password().is_some() || url.query_pairs().any(|(key, _)| key == PASSWORD)
            })
    }
}

/// The parameter in which PostgreSQL's URLs may hold a password.
const PASSWORD: &str = "password";

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Url::parse(&self.0) {
            Ok(mut url) if self.has_password() => {
                if url.password().is_some() {
                    // Fails only for URLs that cannot have a password; this one has.
                    let _ = url.set_password(Some("***"));
                }
                if url.query().is_some() {
                    let shown: Vec<_> = url
                        .query_pairs()
                        .map(|(key, value)| match key.as_ref() {
                            PASSWORD => format!("{key}=***"),
                            _ => format!("{key}={value}"),
                        })
                        .collect();
                    url.set_query(Some(&shown.join("&")));
                }
                f.write_str(url.as_str())
            }
            _ => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceUrl({self})")
    }
}

/// A token or password. It shows itself nowhere but through [`expose`](Self::expose).
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one that compares, hashes or prints it once.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_numbers_with_an_optional_unit() {
        let time = time_between::<1, 3_600>;
        for (text, seconds) in [("30", 30), ("30s", 30), ("5m", 300), ("1h", 3_600)] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(time("1500ms"), Ok(Duration::from_millis(1_500)));
        for text in [
            "",
            "s",
            "-3",
            "1.5",
            "5 m",
            "5d",
            "18446744073709551616",
            "0",
            "2h",
        ] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let url = database_url("postgres://ada:hunter2@db/enchufe").expect("valid");
        assert!(url.has_password());
        assert_eq!(url.to_string(), "postgres://ada:***@db/enchufe");
        assert!(!format!("{url:?}").contains("hunter2"));
        assert_eq!(url.expose(), "postgres://ada:hunter2@db/enchufe");
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");

        let url = database_url("postgres://db/enchufe?sslmode=require&password=hunter2");
        let url = url.expect("valid");
        assert!(url.has_password());
        assert_eq!(
            url.to_string(),
            "postgres://db/enchufe?sslmode=require&password=***"
        );

        let fault = database_url("mysql://ada:hunter2@db/enchufe").expect_err("not served");
        assert!(!fault.contains("hunter2"), "{fault}");
    }

    #[test]
    fn urls_name_a_service_that_is_served() {
        for url in [
            "sqlite://data/a.db",
            "sqlite:///var/a.db",
            "sqlite:a.db",
            "postgresql://db/a",
        ] {
            assert!(database_url(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "sqlite:",
            "sqlite://",
            "sqlite::memory:",
            "a.db",
            "redis://cache",
        ] {
            assert!(database_url(url).is_err(), "{url}");
        }
        for url in ["redis://cache:6379", "rediss://cache:6379"] {
            assert!(redis_url(url).is_ok(), "{url}");
        }
        for url in ["cache:6379", "https://cache:6379"] {
            assert!(redis_url(url).is_err(), "{url}");
        }
        assert!(public_url("charge.example.org").is_err());
    }

    #[test]
    fn a_models_server_is_an_address_without_secrets() {
        for url in ["https://api.openai.com/v1", "http://127.0.0.1:11434/v1/"] {
            assert!(llm_url(url).is_ok(), "{url}");
        }
        for url in [
            "api.openai.com/v1",
            "ftp://models/v1",
            "https://key:hunter2@models/v1",
            "https://models/v1?api-key=hunter2",
        ] {
            let fault = llm_url(url).expect_err(url);
            assert!(!fault.contains("hunter2"), "{fault}");
        }
        let clear = |url: &str| is_in_the_clear(&url.parse().expect("URL"));
        assert!(clear("http://models.example/v1"));
        for safe in ["https://models.example/v1", "http://[::1]:8000/v1"] {
            assert!(!clear(safe), "{safe}");
        }
        for name in ["gpt-5-mini", "meta-llama/Llama-3.1-8B", "llama3.2:1b"] {
            assert!(model_name(name).is_ok(), "{name}");
        }
        for name in ["", "a b", "a\"b", "embedded", &"x".repeat(129)] {
            assert!(model_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn tiles_have_places() {
        let map = tiles("https://tiles.example.org:8443/m/{z}/{x}/{y}.png").expect("valid");
        assert_eq!(
            map.at(7, 63, 48),
            "https://tiles.example.org:8443/m/7/63/48.png"
        );
        assert_eq!(map.origin(), "https://tiles.example.org:8443");
        for wrong in [
            "https://tiles.example.org/{z}/{x}.png",
            "/{z}/{x}/{y}.png",
            "",
        ] {
            assert!(tiles(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", " ", "a\nb", &"x".repeat(201)] {
            assert!(one_line(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn prices_are_exact() {
        let table = prices("gpt-5-mini=0.25/2.00, a/b:1=10/0.000001").expect("valid");
        let price = |input, output| Some(Price { input, output });
        assert_eq!(table.of("gpt-5-mini"), price(250_000, 2_000_000));
        assert_eq!(table.of("a/b:1"), price(10_000_000, 1));
        assert_eq!(table.of("gpt-5"), None);
        for wrong in [
            "",
            "a",
            "a=1",
            "a=1/",
            "a=-1/2",
            "a=1/2,",
            "a=1e3/2",
            "a=1/0.0000001",
        ] {
            assert!(prices(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn any_address_is_reached_on_loopback() {
        for (listen, reached) in [
            ("0.0.0.0:8081", "127.0.0.1:8081"),
            ("[::]:8081", "[::1]:8081"),
            ("10.1.2.3:80", "10.1.2.3:80"),
        ] {
            assert_eq!(
                reachable(listen.parse().expect("address")).to_string(),
                reached
            );
        }
    }
}
