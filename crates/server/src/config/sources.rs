//! Where settings come from: flags, the environment, a file.
//!
//! Each source becomes a list of `--name=value` arguments. Laid one after the other, weakest first,
//! the parser's own rule that the last one wins is the precedence.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::fault::{ConfigError, Fault, unknown};
use super::{Config, SECRETS, Secret, SecretSetting, ServiceUrl};

/// Read if it exists and no other file is named.
pub const DEFAULT_FILE: &str = "./enchufe.toml";

/// Every variable of ours starts with this.
const PREFIX: &str = "ENCHUFE_";

/// Largest secret file read: tokens are far shorter, and a wrong path may name anything.
const MAX_SECRET_FILE: u64 = 4_096;

/// Settings that may hold a password, and so may also come from the file that `<variable>_FILE`
/// names.
pub(super) const URLS_WITH_PASSWORDS: [&str; 2] = ["database_url", "redis_url"];

/// The settings given as flags. Flatten this into a command's arguments, then [`load`](Self::load).
#[derive(Clone, Debug, Default)]
pub struct Flags(Vec<Given>);

/// One setting somebody gave: its id (the field's name) and its text.
#[derive(Clone, Debug)]
struct Given {
    id: String,
    text: String,
}

impl Flags {
    /// Reads the environment and the file, and settles every setting.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let environment: Vec<_> = std::env::vars_os()
            .map(|(name, value)| {
                (
                    name.to_string_lossy().into_owned(),
                    value.to_string_lossy().into_owned(),
                )
            })
            .collect();
        let named = self.get("config").map(str::to_owned).or_else(|| {
            environment
                .iter()
                .find(|(name, value)| name == "ENCHUFE_CONFIG" && !value.is_empty())
                .map(|(_, value)| value.clone())
        });
        let path = PathBuf::from(named.as_deref().unwrap_or(DEFAULT_FILE));
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => Some((path.as_path(), text)),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                return Err(ConfigError::one(
                    path.display(),
                    format!("cannot be read ({error}); name a readable file with --config"),
                ));
            }
        };
        self.resolve(
            &environment,
            file.as_ref().map(|(path, text)| (*path, text.as_str())),
        )
    }

    /// Settles every setting from these flags, an environment and the text of a file.
    pub fn resolve(
        &self,
        environment: &[(String, String)],
        file: Option<(&Path, &str)>,
    ) -> Result<Config, ConfigError> {
        let mut layers = Layers::default();
        if let Some((path, text)) = file {
            layers.add_file(path, text);
        }
        layers.add_environment(environment);
        for given in &self.0 {
            let name = format!("--{}", given.id.replace('_', "-"));
            layers.add(&name, Source::Flag, &given.id, &given.text);
        }
        layers.finish(environment)
    }

    fn get(&self, id: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|given| given.id == id)
            .map(|given| given.text.as_str())
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        Config::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Config::augment_args_for_update(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = settings()
            .get_arguments()
            .map(Arg::get_id)
            .filter(|id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine))
            .filter_map(|id| {
                Some(Given {
                    id: id.to_string(),
                    text: text_of(matches, id.as_str())?,
                })
            })
            .collect();
        Ok(Self(given))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The text of an argument as given; a switch in its plain spelling, because defaults that hang on
/// a switch compare texts.
fn text_of(matches: &ArgMatches, id: &str) -> Option<String> {
    if let Ok(Some(on)) = matches.try_get_one::<bool>(id) {
        return Some(on.to_string());
    }
    matches
        .get_raw(id)?
        .next_back()
        .map(|text| text.to_string_lossy().into_owned())
}

/// The settings as a command of their own.
pub(super) fn settings() -> Command {
    Config::augment_args(Command::new("settings"))
        .no_binary_name(true)
        .args_override_self(true)
}

/// The variable of a setting.
pub(super) fn variable(id: &str) -> String {
    format!("{PREFIX}{}", id.to_ascii_uppercase())
}

/// Tells the variable of each setting in a command's help.
pub fn with_variables(command: Command) -> Command {
    let ids: Vec<_> = settings()
        .get_arguments()
        .map(|arg| arg.get_id().clone())
        .collect();
    ids.into_iter().fold(command, |command, id| {
        command.mut_arg(id, |arg| {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let help = format!("{help} [env: {}]", variable(arg.get_id().as_str()));
            arg.long_help(clap::builder::Resettable::Reset).help(help)
        })
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    File,
    Environment,
    Flag,
}

#[derive(Default)]
struct Layers {
    arguments: Vec<String>,
    faults: Vec<Fault>,
}

impl Layers {
    fn add_file(&mut self, path: &Path, text: &str) {
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => {
                // Without the line itself, which may hold a secret put there by mistake.
                let before = error.span().and_then(|span| text.get(..span.start));
                let line = before.map_or(1, |before| before.matches('\n').count() + 1);
                let fault = format!("line {line} is not TOML: {}", error.message());
                return self.faults.push(Fault::new(path.display(), fault));
            }
        };
        for (key, value) in table {
            let name = format!("`{key}` in {}", path.display());
            let text = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Boolean(on) => on.to_string(),
                other => {
                    let kind = kind(&other);
                    let fault = format!("holds {kind}; give it text, a number, true or false");
                    self.faults.push(Fault::new(name, fault));
                    continue;
                }
            };
            let ids = ids();
            if SECRETS
                .iter()
                .any(|secret| variable(&key).starts_with(secret.variable))
            {
                let fault = format!(
                    "secrets are not read from this file; set {0} or {0}_FILE instead",
                    variable(key.trim_end_matches("_file"))
                );
                self.faults.push(Fault::new(name, fault));
            } else if key == "config" {
                let fault = "a file cannot name another; use --config or ENCHUFE_CONFIG";
                self.faults.push(Fault::new(name, fault));
            } else if ids.contains(&key) {
                self.add(&name, Source::File, &key, &text);
            } else {
                self.faults
                    .push(Fault::new(name, unknown("setting", &key, ids)));
            }
        }
    }

    fn add_environment(&mut self, environment: &[(String, String)]) {
        let ids = ids();
        for (name, text) in environment {
            // An empty variable is an unset one: `${X:-}` in a compose file makes them.
            let Some(rest) = name.strip_prefix(PREFIX).filter(|_| !text.is_empty()) else {
                continue;
            };
            let id = rest.to_ascii_lowercase();
            if ids.contains(&id) && *name == variable(&id) {
                self.add(name, Source::Environment, &id, text);
            } else if let Some(id) = in_a_file(name) {
                self.add_from_file(name, id, text, environment);
            } else if !is_secret(name) && !is_of_simulate(rest) && !is_from_kubernetes(rest, text) {
                let known = ids.iter().map(|id| variable(id));
                let secrets = SECRETS.iter().map(|secret| secret.variable.to_owned());
                let fault = if rest == "PORT" {
                    "not a setting; did you mean `ENCHUFE_LISTEN`?".to_owned()
                } else {
                    unknown("setting", name, known.chain(secrets))
                };
                self.faults.push(Fault::new(name, fault));
            }
        }
    }

    /// Takes a URL from the file that the variable `name` names.
    fn add_from_file(
        &mut self,
        name: &str,
        id: &str,
        path: &str,
        environment: &[(String, String)],
    ) {
        if given(environment, &variable(id)).is_some() {
            let fault = format!("{name} is set too; set one of the two");
            return self.faults.push(Fault::new(variable(id), fault));
        }
        match read_bounded(Path::new(path)) {
            // The file stands in for the variable, so a password is welcome in it.
            Ok(text) => self.add(name, Source::Environment, id, text.trim()),
            Err(fault) => self.faults.push(Fault::new(name, fault)),
        }
    }

    /// Checks one value by itself, so that a fault names the source it came from.
    fn add(&mut self, name: &str, source: Source, id: &str, text: &str) {
        let argument = |text: &str| format!("--{}={text}", id.replace('_', "-"));
        match settings().try_get_matches_from([argument(text)]) {
            Ok(matches) => {
                let has_password = matches
                    .try_get_one::<ServiceUrl>(id)
                    .is_ok_and(|url| url.is_some_and(ServiceUrl::has_password));
                if has_password && source != Source::Environment {
                    let fault = format!(
                        "holds a password, which others can read there; set {}",
                        variable(id)
                    );
                    self.faults.push(Fault::new(name, fault));
                } else {
                    self.arguments
                        .push(argument(&text_of(&matches, id).unwrap_or_default()));
                }
            }
            Err(error) => self.faults.push(Fault::new(name, wording(&error, text))),
        }
    }

    fn finish(mut self, environment: &[(String, String)]) -> Result<Config, ConfigError> {
        let [admin_token, metrics_token, llm_api_key] =
            SECRETS.map(|setting| match secret(&setting, environment) {
                Ok(secret) => secret,
                Err(fault) => {
                    self.faults.push(fault);
                    None
                }
            });
        if !self.faults.is_empty() {
            return Err(ConfigError {
                faults: self.faults,
            });
        }
        let config = settings()
            .try_get_matches_from(self.arguments)
            .and_then(|matches| Config::from_arg_matches(&matches))
            .map_err(|error| ConfigError::one("settings", error))?;
        let config = Config {
            admin_token,
            metrics_token,
            llm_api_key,
            ..config
        };
        check_model(&config)?;
        if collide(config.listen, config.metrics_listen) {
            let fault = "the port of `listen`; give the metrics one of their own";
            return Err(ConfigError::one("ENCHUFE_METRICS_LISTEN", fault));
        }
        Ok(config)
    }
}

/// A model has a server, and a server has models: neither is guessed, nor silently left unused.
fn check_model(config: &Config) -> Result<(), ConfigError> {
    let (server, model) = (&config.llm_base_url, &config.llm_model);
    let needs = "needs ENCHUFE_LLM_BASE_URL, such as https://api.openai.com/v1";
    if let Some(url) = server
        && let Some(base) = without_operation(url)
    {
        let fault = format!(
            "ends in the path of one operation, which is added to it; write {base} instead"
        );
        return Err(ConfigError::one("ENCHUFE_LLM_BASE_URL", fault));
    }
    match (server, model, &config.llm_api_key) {
        (Some(_), None, _) => {
            let fault = "is not set; name a model that the server of llm_base_url has";
            Err(ConfigError::one("ENCHUFE_LLM_MODEL", fault))
        }
        (None, Some(_), _) => Err(ConfigError::one("ENCHUFE_LLM_MODEL", needs)),
        (None, None, Some(_)) => Err(ConfigError::one("ENCHUFE_LLM_API_KEY", needs)),
        (Some(_), Some(_), _) | (None, None, None) => Ok(()),
    }
}

/// The address of a model's server without the operation that was given with it, if one was. Its
/// query and user go too: they may be secrets.
fn without_operation(url: &url::Url) -> Option<String> {
    let path = url.path().trim_end_matches('/');
    let operations = ["/chat/completions", "/completions", "/responses"];
    let base = operations.iter().find_map(|it| path.strip_suffix(it))?;
    Some(format!("{}{base}", url.origin().ascii_serialization()))
}

/// Whether two listeners would ask for the same port. Port 0 stands for any free one.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let any = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.port() != 0 && (any || a.ip() == b.ip())
}

/// What a TOML value is that no setting takes.
fn kind(value: &toml::Value) -> &'static str {
    match value {
        toml::Value::Array(_) => "a list",
        toml::Value::Table(_) => "a table",
        toml::Value::Datetime(_) => "a date",
        _ => "a fraction",
    }
}

fn ids() -> Vec<String> {
    settings()
        .get_arguments()
        .map(|arg| arg.get_id().to_string())
        .collect()
}

/// The parser's fault, in one sentence and without the usage around it.
fn wording(error: &clap::Error, text: &str) -> String {
    use clap::error::{ContextKind, ContextValue};
    if let Some(ContextValue::Strings(valid)) = error.get(ContextKind::ValidValue)
        && !valid.is_empty()
    {
        return format!("`{text}` is not one of them; write {}", valid.join(" or "));
    }
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// The setting whose value stands in the file that this variable names.
fn in_a_file(name: &str) -> Option<&'static str> {
    let name = name.strip_suffix("_FILE")?;
    URLS_WITH_PASSWORDS
        .into_iter()
        .find(|id| variable(id) == name)
}

/// The text of a variable that is set. An empty one is not.
fn given<'a>(environment: &'a [(String, String)], name: &str) -> Option<&'a str> {
    environment
        .iter()
        .find(|(n, value)| n == name && !value.is_empty())
        .map(|(_, value)| value.as_str())
}

fn is_secret(name: &str) -> bool {
    let name = name.strip_suffix("_FILE").unwrap_or(name);
    SECRETS.iter().any(|secret| secret.variable == name)
}

/// Variables of `enchufe simulate`, which often stand in the same shell.
fn is_of_simulate(rest: &str) -> bool {
    matches!(
        rest,
        "API_TOKEN" | "API_TOKEN_FILE" | "CHARGER_PASSWORD" | "CHARGER_PASSWORD_FILE"
    )
}

/// Kubernetes tells every container of every Service, in variables named after it: a Service
/// named `enchufe` (or `enchufe-metrics`) lands among ours. They are not settings.
fn is_from_kubernetes(rest: &str, text: &str) -> bool {
    let is = |kind: &str| rest == kind || rest.ends_with(&format!("_{kind}"));
    let contains = |part: &str| rest.starts_with(part) || rest.contains(&format!("_{part}"));
    // A bare PORT could be somebody's guess at a setting; from Kubernetes it holds a URL.
    is("SERVICE_HOST")
        || is("SERVICE_PORT")
        || contains("SERVICE_PORT_")
        || contains("PORT_")
        || (is("PORT") && text.contains("://"))
}

fn secret(
    setting: &SecretSetting,
    environment: &[(String, String)],
) -> Result<Option<Secret>, Fault> {
    let name = setting.variable;
    let file_name = format!("{name}_FILE");
    let (name, text) = match (given(environment, name), given(environment, &file_name)) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(Fault::new(
                name,
                format!("{file_name} is set too; set one of the two"),
            ));
        }
        (Some(text), None) => (name, text.to_owned()),
        (None, Some(path)) => match read_bounded(Path::new(path)) {
            Ok(text) => (file_name.as_str(), text),
            Err(fault) => return Err(Fault::new(file_name, fault)),
        },
    };
    // Files written by editors and `echo` end in a line break that nobody means.
    let text = text.trim();
    let shortest = setting.shortest;
    if text.len() < shortest || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let advice = setting.advice;
        let fault = format!(
            "must be at least {shortest} visible ASCII characters without spaces; {advice}"
        );
        return Err(Fault::new(name, fault));
    }
    Ok(Some(Secret::new(text)))
}

fn read_bounded(path: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_SECRET_FILE).read_to_string(&mut text))
        .map_err(|error| {
            let path = path.display();
            format!("`{path}` cannot be read ({error}); name a readable file")
        })?;
    Ok(text)
}

#[cfg(test)]
mod tests;
