use std::time::Duration;

use clap::Parser;

use super::super::{LlmApi, LogFormat, MetricsAuth};
use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
}

/// Settles flags, variables (without their prefix) and the text of a file.
fn settle(flags: &[&str], variables: &[(&str, &str)], file: &str) -> Result<Config, ConfigError> {
    let argv = std::iter::once("enchufe").chain(flags.iter().copied());
    let cli = Cli::try_parse_from(argv).expect("flags are well formed");
    let environment: Vec<_> = variables
        .iter()
        .map(|(name, value)| (format!("ENCHUFE_{name}"), (*value).to_owned()))
        .collect();
    cli.flags
        .resolve(&environment, Some((Path::new("enchufe.toml"), file)))
}

#[track_caller]
fn refused(variables: &[(&str, &str)], file: &str, expected: &str) {
    let error = settle(&[], variables, file)
        .expect_err("refused")
        .to_string();
    assert_eq!(error, expected);
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let config = Config::defaults();
    assert_eq!(config.listen.to_string(), "0.0.0.0:8081");
    assert_eq!(config.metrics_listen.to_string(), "0.0.0.0:8000");
    assert_eq!(config.metrics_auth, MetricsAuth::Token);
    assert_eq!(config.database_url().expose(), "sqlite://./data/enchufe.db");
    assert_eq!(config.redis_url, None);
    assert!(!config.drills && !config.demo && !config.allow_unauthenticated_chargers);
    assert_eq!(config.heartbeat_interval, Duration::from_mins(5));
    assert_eq!(config.log, "info");
    assert_eq!(config.base_url(), "http://127.0.0.1:8081");
    assert!(config.warnings().is_empty());
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let file = "command_timeout = 3\nping_interval = 3\nheartbeat_interval = '3s'";
    let variables = [("COMMAND_TIMEOUT", "2"), ("PING_INTERVAL", "2s")];
    let config = settle(&["--command-timeout", "1"], &variables, file).expect("valid");
    assert_eq!(config.command_timeout, Duration::from_secs(1));
    assert_eq!(config.ping_interval, Duration::from_secs(2));
    assert_eq!(config.heartbeat_interval, Duration::from_secs(3));
    assert_eq!(config.shutdown_timeout, Duration::from_secs(25));
}

#[test]
fn a_demo_keeps_to_this_machine_unless_told_otherwise() {
    for config in [
        settle(&["--demo"], &[], ""),
        settle(&[], &[("DEMO", "yes")], ""),
        settle(&[], &[], "demo = true"),
    ] {
        let config = config.expect("valid");
        assert_eq!(config.listen.to_string(), "127.0.0.1:8081");
        assert_eq!(config.metrics_listen.to_string(), "127.0.0.1:8000");
        assert_eq!(config.database_url().expose(), "sqlite://./data/demo.db");
        assert!(config.allow_unauthenticated_chargers);
    }
    let config = settle(&["--demo", "--listen=0.0.0.0:9000"], &[], "").expect("valid");
    assert_eq!(config.listen.to_string(), "0.0.0.0:9000");
}

#[test]
fn a_switch_can_be_turned_off_by_a_stronger_source() {
    let config = settle(&["--drills=false"], &[("DRILLS", "on")], "drills = true").expect("valid");
    assert!(!config.drills);
    let config = settle(&[], &[("DRILLS", "off")], "drills = true").expect("valid");
    assert!(!config.drills);
}

#[test]
fn an_empty_variable_is_an_unset_one() {
    let config = settle(&[], &[("REDIS_URL", ""), ("ADMIN_TOKEN", "")], "").expect("valid");
    assert_eq!(config.redis_url, None);
    assert_eq!(config.admin_token, None);
}

#[test]
fn a_wrong_value_is_refused_with_what_would_do() {
    refused(
        &[("LISTEN", "8081")],
        "",
        "ENCHUFE_LISTEN: `8081` is not an IP address with a port; write it like 0.0.0.0:8081 or [::]:8081",
    );
    refused(
        &[("LOG_FORMAT", "xml")],
        "",
        "ENCHUFE_LOG_FORMAT: `xml` is not one of them; write pretty or json",
    );
    refused(
        &[],
        "ping_interval = 0",
        "`ping_interval` in enchufe.toml: `0` is out of range; give between 1s and 3600s",
    );
    refused(
        &[],
        "listen = ['a']",
        "`listen` in enchufe.toml: holds a list; give it text, a number, true or false",
    );
    refused(
        &[("METRICS_LISTEN", "127.0.0.1:8081")],
        "",
        "ENCHUFE_METRICS_LISTEN: the port of `listen`; give the metrics one of their own",
    );
    let error = settle(&[], &[("AUTH_FAILURES_PER_MINUTE", "0")], "").expect_err("refused");
    assert_eq!(
        error.to_string(),
        "ENCHUFE_AUTH_FAILURES_PER_MINUTE: 0 is not in 1..=10000"
    );
}

#[test]
fn a_broken_file_is_told_by_its_line_and_not_by_its_text() {
    let error = settle(&[], &[], "demo = true\nlog = hunter2")
        .expect_err("refused")
        .to_string();
    assert!(
        error.starts_with("enchufe.toml: line 2 is not TOML: "),
        "{error}"
    );
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn every_fault_is_told_at_once() {
    let error = settle(&[], &[("LISTEN", "x"), ("LISTN", "y")], "demo = 3").expect_err("refused");
    assert_eq!(error.faults.len(), 3, "{error}");
}

#[test]
fn an_unknown_name_is_refused_with_a_guess() {
    refused(
        &[("LISTN", "x")],
        "",
        "ENCHUFE_LISTN: not a setting; did you mean `ENCHUFE_LISTEN`?",
    );
    refused(
        &[("PORT", "8081")],
        "",
        "ENCHUFE_PORT: not a setting; did you mean `ENCHUFE_LISTEN`?",
    );
    refused(
        &[("FLUX_CAPACITOR", "x")],
        "",
        "ENCHUFE_FLUX_CAPACITOR: not a setting; docs/configuration.md and `enchufe serve --help` list them",
    );
    refused(
        &[],
        "data-dir = 'x'",
        "`data-dir` in enchufe.toml: not a setting; did you mean `data_dir`?",
    );
}

#[test]
fn what_kubernetes_tells_of_a_service_is_ignored() {
    let config = settle(
        &[],
        &[
            ("SERVICE_HOST", "10.0.0.1"),
            ("SERVICE_PORT", "8081"),
            ("SERVICE_PORT_HTTP", "8081"),
            ("PORT", "tcp://10.0.0.1:8081"),
            ("PORT_8081_TCP", "tcp://10.0.0.1:8081"),
            ("PORT_8081_TCP_PROTO", "tcp"),
            ("PORT_8081_TCP_PORT", "8081"),
            ("PORT_8081_TCP_ADDR", "10.0.0.1"),
            ("METRICS_SERVICE_HOST", "10.0.0.2"),
            ("METRICS_SERVICE_PORT", "8000"),
            ("METRICS_PORT_8000_TCP_ADDR", "10.0.0.2"),
        ],
        "",
    );
    assert!(config.is_ok(), "{config:?}");
}

#[test]
fn passwords_come_from_the_environment_only() {
    let url = "postgres://ada:hunter2@db/enchufe";
    let config = settle(&[], &[("DATABASE_URL", url)], "").expect("valid");
    assert_eq!(config.database_url().expose(), url);
    assert!(!format!("{config:?}").contains("hunter2"));

    let error = settle(&["--database-url", url], &[], "")
        .expect_err("refused")
        .to_string();
    assert_eq!(
        error,
        "--database-url: holds a password, which others can read there; set ENCHUFE_DATABASE_URL"
    );
    refused(
        &[],
        "admin_token = '0123456789abcdef'",
        "`admin_token` in enchufe.toml: secrets are not read from this file; \
         set ENCHUFE_ADMIN_TOKEN or ENCHUFE_ADMIN_TOKEN_FILE instead",
    );
}

#[test]
fn a_secret_comes_from_its_variable_or_its_file_but_not_both() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("token");
    std::fs::write(&path, "0123456789abcdef\n").expect("written");
    let path = path.to_str().expect("path");

    let config = settle(&[], &[("METRICS_TOKEN_FILE", path)], "").expect("valid");
    assert_eq!(config.metrics_token, Some(Secret::new("0123456789abcdef")));
    refused(
        &[
            ("ADMIN_TOKEN", "0123456789abcdef"),
            ("ADMIN_TOKEN_FILE", path),
        ],
        "",
        "ENCHUFE_ADMIN_TOKEN: ENCHUFE_ADMIN_TOKEN_FILE is set too; set one of the two",
    );
    for weak in ["short", "fifteen letters", "sixteen letters and a space"] {
        assert!(settle(&[], &[("ADMIN_TOKEN", weak)], "").is_err(), "{weak}");
    }
    assert!(settle(&[], &[("ADMIN_TOKEN_FILE", "/nowhere/token")], "").is_err());
}

#[test]
fn a_url_with_a_password_comes_from_its_file_too() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("url");
    let url = "postgres://enchufe:pa55word@db/enchufe";
    std::fs::write(&path, format!("{url}\n")).expect("written");
    let path = path.to_str().expect("path");

    let config = settle(&[], &[("DATABASE_URL_FILE", path)], "").expect("valid");
    assert_eq!(config.database_url().expose(), url);
    refused(
        &[
            ("DATABASE_URL", "postgres://db/other"),
            ("DATABASE_URL_FILE", path),
        ],
        "",
        "ENCHUFE_DATABASE_URL: ENCHUFE_DATABASE_URL_FILE is set too; set one of the two",
    );
    refused(
        &[("REDIS_URL_FILE", path)],
        "",
        "ENCHUFE_REDIS_URL_FILE: `postgres://` is not served here; \
         write it like redis://host:6379, or rediss://host:6379 for TLS",
    );
    refused(
        &[("DATABASE_URL_FILE", "/nowhere/url")],
        "",
        "ENCHUFE_DATABASE_URL_FILE: `/nowhere/url` cannot be read (No such file or directory \
         (os error 2)); name a readable file",
    );
    // No other setting is read from a file of its own.
    assert!(settle(&[], &[("LOG_FILE", path)], "").is_err());
}

#[test]
fn the_log_settings_are_checked() {
    let config =
        settle(&["--log-format=json"], &[("LOG", "info,server=debug")], "").expect("valid");
    assert_eq!(config.log_format, Some(LogFormat::Json));
    assert!(settle(&[], &[("LOG", "info,server=loud")], "").is_err());
}

#[test]
fn a_model_and_its_server_come_together() {
    let server = ("LLM_BASE_URL", "http://127.0.0.1:11434/v1");
    let model = ("LLM_MODEL", "llama3.2");
    let key = ("LLM_API_KEY", "k");
    let config = settle(&[], &[server, model, key], "llm_api = 'responses'").expect("valid");
    assert_eq!(config.llm_api, LlmApi::Responses);
    assert_eq!(config.llm_api_key, Some(Secret::new("k")));
    assert!(config.warnings().is_empty());
    let far = ("LLM_BASE_URL", "http://models.example/v1");
    let config = settle(&[], &[far, model, key], "").expect("valid");
    assert_eq!(config.warnings().len(), 1);

    let without = "needs ENCHUFE_LLM_BASE_URL, such as https://api.openai.com/v1";
    refused(&[model], "", &format!("ENCHUFE_LLM_MODEL: {without}"));
    refused(&[key], "", &format!("ENCHUFE_LLM_API_KEY: {without}"));
    refused(
        &[server],
        "",
        "ENCHUFE_LLM_MODEL: is not set; name a model that the server of llm_base_url has",
    );
    for (given, instead) in [
        (
            "https://api.openai.com/v1/chat/completions",
            "https://api.openai.com/v1",
        ),
        (
            "http://127.0.0.1:11434/v1/chat/completions/",
            "http://127.0.0.1:11434/v1",
        ),
        ("https://models.example/responses", "https://models.example"),
    ] {
        let whole = format!(
            "ENCHUFE_LLM_BASE_URL: ends in the path of one operation, which is added to it; write \
             {instead} instead"
        );
        refused(&[("LLM_BASE_URL", given), model], "", &whole);
    }
    refused(
        &[server, model, ("LLM_API_KEY", "sk 1")],
        "",
        "ENCHUFE_LLM_API_KEY: must be at least 1 visible ASCII characters without spaces; \
         copy it from the model's provider again, whole and without quotes",
    );
    refused(
        &[],
        "llm_api_key = 'k'",
        "`llm_api_key` in enchufe.toml: secrets are not read from this file; \
         set ENCHUFE_LLM_API_KEY or ENCHUFE_LLM_API_KEY_FILE instead",
    );
}
