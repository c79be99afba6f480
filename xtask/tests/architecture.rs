//! The directions between the rooms, held: who may depend on whom, and which words may stand in
//! which file. Every rule is first tried on a made-up offender, so that none can be vacuous.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Each crate, and the crates of this workspace it may depend on. A crate that is not listed here
/// fails: a new room is a decision.
const ROOMS: [(&str, &[&str]); 6] = [
    ("enchufe-domain", &[]),
    ("enchufe-ocpp", &[]),
    ("enchufe-store", &["enchufe-domain"]),
    ("enchufe-simulator", &["enchufe-ocpp"]),
    (
        "enchufe",
        &[
            "enchufe-domain",
            "enchufe-ocpp",
            "enchufe-store",
            "enchufe-simulator",
        ],
    ),
    ("xtask", &[]),
];

/// What the two pure crates must not know, not even in their tests: async, sockets, databases.
const IMPURE: &str = "async-trait axum bytes futures futures-util http hyper mio redis reqwest \
    rustls sqlx tokio tokio-stream tokio-util tower tower-http tracing tungstenite yawc";

/// A file longer than this cannot be read in one sitting.
const LONGEST: usize = 700;

// ---- The rules over the dependency graph

/// Direct dependencies, of every kind, by crate.
type Graph = BTreeMap<String, BTreeSet<String>>;

fn graph_violations(graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    for (name, dependencies) in graph {
        let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| room == name) else {
            found.push(format!(
                "{name} is a new crate: say in ROOMS what it may depend on"
            ));
            continue;
        };
        for dependency in dependencies {
            let dependency = dependency.as_str();
            let ours = graph.contains_key(dependency);
            let pure = matches!(name.as_str(), "enchufe-domain" | "enchufe-ocpp");
            if (ours && !allowed.contains(&dependency))
                || (pure && IMPURE.split(' ').any(|it| it == dependency))
                || (dependency == "sqlx" && name != "enchufe-store")
                || (dependency == "redis" && name != "enchufe")
            {
                found.push(format!("{name} must not depend on {dependency}"));
            }
        }
    }
    found
}

#[test]
fn crates_depend_in_one_direction() {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata");
    let graph: Graph = metadata
        .workspace_packages()
        .into_iter()
        .map(|package| {
            let names = package
                .dependencies
                .iter()
                .map(|dependency| dependency.name.clone());
            (package.name.to_string(), names.collect())
        })
        .collect();
    for (room, _) in ROOMS {
        assert!(
            graph.contains_key(room),
            "{room} is gone: the rules no longer hold anything"
        );
    }
    none(&graph_violations(&graph));
}

#[test]
fn a_wrong_dependency_is_found() {
    fn check(dependencies: &[(&str, &[&str])], expected: &[&str]) {
        let graph = dependencies.iter().map(|(name, on)| {
            (
                (*name).to_owned(),
                on.iter().map(|name| (*name).to_owned()).collect(),
            )
        });
        assert_eq!(graph_violations(&graph.collect()), expected);
    }
    let (domain, ocpp, store) = ("enchufe-domain", "enchufe-ocpp", "enchufe-store");
    check(&[(domain, &["serde"]), (store, &["sqlx", domain])], &[]);
    check(
        &[(domain, &["tokio"])],
        &["enchufe-domain must not depend on tokio"],
    );
    check(
        &[(ocpp, &["redis"])],
        &["enchufe-ocpp must not depend on redis"],
    );
    check(
        &[(domain, &[ocpp]), (ocpp, &[])],
        &["enchufe-domain must not depend on enchufe-ocpp"],
    );
    check(
        &[(store, &[ocpp]), (ocpp, &[])],
        &["enchufe-store must not depend on enchufe-ocpp"],
    );
    check(
        &[("enchufe-simulator", &[domain]), (domain, &[])],
        &["enchufe-simulator must not depend on enchufe-domain"],
    );
    check(
        &[("enchufe", &["sqlx"])],
        &["enchufe must not depend on sqlx"],
    );
    check(
        &[("enchufe-extra", &[])],
        &["enchufe-extra is a new crate: say in ROOMS what it may depend on"],
    );
}

// ---- The rules over the files

fn file_violations(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut say = |what: &str| found.push(format!("{path}: {what}"));

    if path.starts_with("crates/") && text.lines().count() > LONGEST {
        say("is longer than 700 lines; divide it");
    }
    if machine_paths()
        .iter()
        .any(|machine| mentions_path(text, machine))
    {
        say("holds a path of somebody’s machine");
    }
    if path.ends_with("package-lock.json") && text.contains("\"resolved\": \"http") {
        say("names a registry host; install with omit-lockfile-registry-resolved");
    }

    if path.starts_with("crates/server/templates/") {
        let inline = [
            " style=",
            "<style",
            "<script>",
            " onclick=",
            " onload=",
            " onchange=",
        ];
        let foreign = ["|safe", "http://", "https://"];
        if inline.iter().chain(&foreign).any(|it| text.contains(it)) {
            say("holds what the console's policy forbids, or what escapes no text");
        }
    }
    if path.starts_with("crates/server/assets/")
        && Path::new(path).extension().is_some_and(|it| it == "js")
    {
        let markup = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ];
        if markup.iter().any(|it| text.contains(it)) {
            say("makes markup of text");
        }
    }

    let extension = Path::new(path).extension();
    let is_code = path.starts_with("crates/") && extension.is_some_and(|it| it == "rs");
    if !is_code {
        return found;
    }
    let code = code_of(text);
    if mentions(&code, "sqlx::") && !path.starts_with("crates/store/") {
        say("uses sqlx; SQL lives in crates/store and nowhere else");
    }
    for room in ["domain", "ocpp", "store"] {
        if mentions(&code, &format!("use {room} as ")) {
            say(&format!(
                "renames `{room}`, which would hide what it imports"
            ));
        }
    }
    if let Some(inside) = path.strip_prefix("crates/server/src/") {
        let translator = inside.strip_prefix("gateway/").is_some_and(|file| {
            let name = file.split(['/', '.']).next().unwrap_or_default();
            is_version(name)
        });
        if !translator && mentions(&code, "domain::") && mentions_messages(&code) {
            say("joins `domain` and OCPP messages; only the translators in gateway/v*.rs may");
        }
        if inside.starts_with("api/") && mentions(&code, "store::") {
            say("reaches into `store`; api goes through app");
        }
        if inside.starts_with("console/") {
            if mentions(&code, "store::") || code.contains("app.store") {
                say("reaches into `store`; the console goes through app");
            }
            if mentions(&code, "api::") || code.contains("crate::api") {
                say("calls into `api`; the console goes through app, as the API does");
            }
        }
    }
    found
}

#[test]
fn files_keep_to_their_room() {
    let files = files();
    assert!(
        files
            .iter()
            .any(|(path, _)| path.starts_with("crates/domain/src/")),
        "no sources read"
    );
    let found = files
        .iter()
        .flat_map(|(path, text)| file_violations(path, text));
    none(&found.collect::<Vec<_>>());
}

/// Holds one made-up file against the rules: exactly one offence with these words, or none.
fn offends(path: &str, text: &str, expected: Option<&str>) {
    let found = file_violations(path, text);
    match expected {
        None => assert_eq!(found, [""; 0], "{path}: {text}"),
        Some(words) => {
            assert!(
                found.len() == 1 && found[0].contains(words),
                "{path}: {text}: {found:?}"
            );
        }
    }
}

#[test]
fn domain_and_messages_meet_only_in_the_translators() {
    let both = "use domain::Station;\nuse ocpp::v16::Call;";
    offends("crates/server/src/app/stations.rs", both, Some("joins"));
    offends("crates/server/src/gateway/socket.rs", both, Some("joins"));
    offends("crates/server/src/gateway/vault.rs", both, Some("joins"));
    for translator in ["v16.rs", "v16/boot.rs", "v201.rs"] {
        offends(
            &format!("crates/server/src/gateway/{translator}"),
            both,
            None,
        );
    }
    let file = "crates/server/src/app/a.rs";
    offends(
        file,
        "use domain::A;\nuse ocpp::{Peer, v201};",
        Some("joins"),
    );
    offends(
        file,
        "use domain::A;\nuse ocpp::{v16::{A, B}};",
        Some("joins"),
    );
    offends(file, "use domain::A;\nuse ocpp::{Peer, Frame};", None);
    offends(file, "use domain::A; // not ocpp::v16", None);
    offends(file, "use domain::A; const S: &str = \"ocpp::v16\";", None);
    offends(file, "use mydomain::A; use ocpp::v16;", None);
    offends(file, "use ocpp as wire;", Some("renames"));
}

#[test]
fn sql_and_writes_have_one_door() {
    offends(
        "crates/server/src/app/a.rs",
        "sqlx::query(\"\")",
        Some("SQL lives"),
    );
    offends(
        "crates/server/tests/it/main.rs",
        "use sqlx::Row;",
        Some("SQL lives"),
    );
    offends("crates/store/src/writer.rs", "use sqlx::Row;", None);
    let import = "use store::writer::Writer;";
    offends("crates/server/src/api/stations.rs", import, Some("reaches"));
    offends(
        "crates/server/src/api/stations.rs",
        "/// Not `store::writer`.\nuse crate::app;",
        None,
    );
    offends("crates/server/src/app/stations.rs", import, None);
    let page = "crates/server/src/console/station.rs";
    offends(page, import, Some("reaches"));
    offends(page, "app.store.ping()", Some("reaches"));
    offends(page, "use crate::api::stations;", Some("calls"));
    offends(
        page,
        "use crate::{api, app};\napi::openapi()",
        Some("calls"),
    );
    offends(
        page,
        "use crate::app::App; // not `api::`, not `store::`",
        None,
    );
}

#[test]
fn pages_hold_nothing_that_their_policy_forbids() {
    for page in [
        "<p style=\"color:red\">",
        "<a onclick=\"go()\">",
        "<script>go()</script>",
        "<style>",
        "{{ name|safe }}",
        "https://cdn.example/a.js",
    ] {
        offends("crates/server/templates/a.html", page, Some("policy"));
    }
    let fine = "<script src=\"{{ page.script() }}\" defer></script><p class=\"a\">{{ name }}</p>";
    offends("crates/server/templates/a.html", fine, None);
    offends(
        "crates/server/assets/a.js",
        "a.innerHTML = b",
        Some("markup"),
    );
    offends("crates/server/assets/a.js", "a.textContent = b", None);
}

#[test]
fn long_files_and_foreign_paths_are_found() {
    let lines = |count: usize| "\n".repeat(count);
    offends("crates/domain/src/id.rs", &lines(LONGEST), None);
    offends(
        "crates/domain/src/id.rs",
        &lines(LONGEST + 1),
        Some("longer"),
    );
    offends(
        "crates/server/assets/console.js",
        &lines(LONGEST + 1),
        Some("longer"),
    );
    offends("docs/openapi.json", &lines(LONGEST + 1), None);

    for machine in machine_paths() {
        offends(
            "README.md",
            &format!("see `{machine}main`"),
            Some("machine"),
        );
        offends(
            "README.md",
            &format!("see https://example.org{machine}main"),
            None,
        );
    }
    let locked = "\"resolved\": \"https://registry.example/a.tgz\"";
    offends(
        "tests/clients/node/package-lock.json",
        locked,
        Some("registry"),
    );
}

#[test]
fn comments_and_strings_are_not_code() {
    fn check(text: &str, code: &str) {
        assert_eq!(
            code_of(text)
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
            code,
            "{text}"
        );
    }
    check("a // b\nc", "a c");
    check("a /* b /* c */ d */ e", "a e");
    check(r#"a("http://b", c)"#, r#"a("", c)"#);
    check(r#"a("\"b", c)"#, r#"a("", c)"#);
    check("a(r#\"b\"c\"#, d)", "a(\"\", d)");
    check("let q = '\"'; a // b", "let q = ' '; a");
    check("fn a<'a>(b: &'a str) {} // c", "fn a<'a>(b: &'a str) {}");
}

// ---- Reading the tree

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies inside the checkout")
}

/// Every text file that is committed or about to be, with its path from the root.
fn files() -> Vec<(String, String)> {
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    assert!(
        listed.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let paths = String::from_utf8(listed.stdout).expect("paths are UTF-8");
    paths
        .split_terminator('\0')
        // A listed file may be gone from the tree, and a picture is not text.
        .filter_map(|path| {
            Some((
                path.to_owned(),
                std::fs::read_to_string(root().join(path)).ok()?,
            ))
        })
        .collect()
}

/// The Rust text with comments gone and strings emptied; lines stay lines.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let raw = raw_string_opening(rest).filter(|_| !code.ends_with(is_word));
        let (skipped, replacement) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), "")
        } else if rest.starts_with("/*") {
            (block_comment(rest), " ")
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            (
                rest[1..].find('\'').map_or(rest.len(), |at| at + 2).max(3),
                "' '",
            )
        } else if let Some(hashes) = raw {
            let close = format!("\"{}", "#".repeat(hashes));
            let open = hashes + 2;
            (
                rest[open..]
                    .find(&close)
                    .map_or(rest.len(), |at| open + at + close.len()),
                "\"\"",
            )
        } else if first == '"' {
            (plain_string(rest), "\"\"")
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        code.push_str(replacement);
        rest = &rest[skipped..];
    }
    code
}

/// How many `#` a raw string that begins here has.
fn raw_string_opening(text: &str) -> Option<usize> {
    let text = text.strip_prefix('r')?;
    let quote = text.find(|c| c != '#')?;
    text[quote..].starts_with('"').then_some(quote)
}

/// The length of the quoted string that begins here.
fn plain_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of the block comment that begins here; such comments nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_u32, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `word` stands in the code and is not the tail of a longer name or path.
fn mentions(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].trim_end_matches("r#");
        !before.ends_with(|c| is_word(c) || c == ':')
    })
}

/// Whether the code names a protocol version’s messages: `ocpp::v16` or `ocpp::{…, v16, …}`.
fn mentions_messages(code: &str) -> bool {
    code.match_indices("ocpp::").any(|(at, opening)| {
        if code[..at].ends_with(is_word) {
            return false;
        }
        let rest = &code[at + opening.len()..];
        let end = if rest.starts_with('{') {
            rest.find(';')
        } else {
            rest.find(|c| !is_word(c))
        };
        rest[..end.unwrap_or(rest.len())]
            .split(|c| !is_word(c))
            .any(is_version)
    })
}

/// `v16`, `v201`, `v21`.
fn is_version(name: &str) -> bool {
    let digits = name.strip_prefix('v').unwrap_or_default();
    !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
}

/// Where people and their machines keep things. Put together here, so that this file holds none.
fn machine_paths() -> [String; 4] {
    let parts = [
        ("/wo", "rk/"),
        ("/fa", "rm/"),
        ("/tmp/bash", "_jobs/"),
        ("/root", "/."),
    ];
    parts.map(|(one, two)| format!("{one}{two}"))
}

/// Whether the path stands there as the beginning of one, not as the middle of another.
fn mentions_path(text: &str, path: &str) -> bool {
    text.match_indices(path).any(|(at, _)| {
        let inner = |c: char| is_word(c) || "./-}$~".contains(c);
        !text[..at].ends_with(inner)
    })
}

fn none(violations: &[String]) {
    assert!(violations.is_empty(), "\n  {}\n", violations.join("\n  "));
}
