//! `docs/configuration.md`, written from the settings themselves.

use std::fmt::Write as _;

use super::sources::{URLS_WITH_PASSWORDS, settings, variable};
use super::{DERIVED_DEFAULTS, MIN_TOKEN_LENGTH, SECRETS};

const INTRODUCTION: &str = "\
# Configuration

<!-- Generated from crates/server/src/config.rs by `cargo xtask generate`. Do not edit. -->

`enchufe serve` starts without any setting. Each can be given as a flag, as a variable, or as a key
in `enchufe.toml`; flags win over the environment, the environment over the file, the file over the
defaults. A wrong or unknown value stops the start and says what would do. An empty variable counts
as unset. Times are whole numbers: `30` or `30s`, `1500ms`, `5m`, `1h`; switches are `true` or
`false`.

A key of the file is the flag's name with underscores:

```toml
listen = \"0.0.0.0:8081\"
heartbeat_interval = \"5m\"
```
";

/// The reference of every setting, as Markdown.
pub fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    let mut heading = None;
    for arg in settings().get_arguments() {
        if arg.get_help_heading() != heading {
            heading = arg.get_help_heading();
            let _ = write!(text, "\n## {}\n\n", heading.unwrap_or("Others"));
            text.push_str("| flag | variable | key | default | meaning |\n");
            text.push_str("| --- | --- | --- | --- | --- |\n");
        }
        let id = arg.get_id().as_str();
        let defaults = arg.get_default_values();
        let derived = DERIVED_DEFAULTS.iter().find(|(name, _)| *name == id);
        let default = match (derived, defaults.first()) {
            (Some((_, words)), _) => (*words).to_owned(),
            (None, Some(value)) => format!("`{}`", value.to_string_lossy()),
            (None, None) => "none".to_owned(),
        };
        let key = if id == "config" {
            "–".to_owned()
        } else {
            format!("`{id}`")
        };
        let values: Vec<_> = arg
            .get_possible_values()
            .iter()
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        let help = arg.get_long_help().or(arg.get_help());
        let mut meaning = help.map(ToString::to_string).unwrap_or_default();
        if !meaning.ends_with('.') {
            meaning.push('.');
        }
        if !values.is_empty() {
            let _ = write!(meaning, " One of {}.", values.join(", "));
        }
        let flag = arg.get_long().unwrap_or(id);
        let variable = variable(id);
        let _ = writeln!(
            text,
            "| `--{flag}` | `{variable}` | {key} | {default} | {meaning} |"
        );
    }
    text.push_str("\n## Secrets\n\n");
    let _ = writeln!(
        text,
        "From the environment, or from the file that the variable with `_FILE` at its end names; \
         never from\nflags or `enchufe.toml`. Visible ASCII characters, in a token at least \
         {MIN_TOKEN_LENGTH}. A database or Redis URL that\nholds a password is a secret too.\n"
    );
    text.push_str("| variable | or | meaning |\n| --- | --- | --- |\n");
    for secret in SECRETS {
        let (name, meaning) = (secret.variable, secret.meaning);
        let _ = writeln!(text, "| `{name}` | `{name}_FILE` | {meaning} |");
    }
    for id in URLS_WITH_PASSWORDS {
        let name = variable(id);
        let _ = writeln!(
            text,
            "| `{name}` | `{name}_FILE` | The setting `{id}`, when it holds a password. |"
        );
    }
    text.push_str(DEMO);
    text
}

const DEMO: &str = "
## A demonstration

`--demo` changes three defaults: both addresses are on `127.0.0.1`, the database is
`sqlite://<data dir>/demo.db`, and chargers may connect without credentials. What is set by hand
still wins.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_reference_is_up_to_date() {
        let committed = include_str!("../../../../docs/configuration.md");
        assert!(
            committed == reference(),
            "docs/configuration.md differs from the settings: run `cargo xtask generate`"
        );
    }

    #[test]
    fn every_setting_has_a_meaning_and_a_heading() {
        for arg in settings().get_arguments() {
            assert!(arg.get_help().is_some(), "{}", arg.get_id());
            assert!(arg.get_help_heading().is_some(), "{}", arg.get_id());
        }
    }
}
