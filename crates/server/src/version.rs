//! Which build this is, as `enchufe --version` and `enchufe_build_info` tell it.
//!
//! A release's pipeline knows its version and commit and says them in `BUILD_VERSION` and
//! `BUILD_COMMIT`. Without them the version is the manifest's and the commit is unknown.

use std::sync::LazyLock;

/// The version.
pub const VERSION: &str = match option_env!("BUILD_VERSION") {
    Some(version) if !version.is_empty() => version,
    _ => env!("CARGO_PKG_VERSION"),
};

/// The commit it was built from.
pub const COMMIT: &str = match option_env!("BUILD_COMMIT") {
    Some(commit) if !commit.is_empty() => commit,
    _ => "unknown",
};

/// Both, for a person.
pub static VERSION_WITH_COMMIT: LazyLock<String> =
    LazyLock::new(|| format!("{VERSION} (commit {COMMIT})"));
