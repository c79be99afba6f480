//! The references under `docs/` that the server writes about itself.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::shell::{cmd, read, root};

/// Writes them.
pub fn write() -> Result<()> {
    let docs = root().join("docs");
    generate(&crate::serve::build()?, &docs)?;
    println!("  docs      written");
    Ok(())
}

/// Fails, naming the files, when what is committed differs from what would be written.
pub fn check(binary: &Path) -> Result<()> {
    let fresh = tempfile::tempdir()?;
    generate(binary, fresh.path())?;
    let stale = differences(fresh.path(), &root().join("docs"))?;
    if !stale.is_empty() {
        bail!(
            "out of date, `make generate` writes them anew: {}",
            stale.join(", ")
        );
    }
    println!("  docs      up to date");
    Ok(())
}

fn generate(binary: &Path, dir: &Path) -> Result<()> {
    read(cmd(binary, ["generate-docs", "--dir"]).arg(dir)).map(drop)
}

/// The generated files whose committed copy is missing or different.
fn differences(fresh: &Path, committed: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(fresh)? {
        names.push(entry?.file_name());
    }
    ensure!(!names.is_empty(), "nothing was generated");
    names.sort();
    let mut stale = Vec::new();
    for name in names {
        let wanted = fs::read(fresh.join(&name)).context("a generated file cannot be read")?;
        if fs::read(committed.join(&name)).ok().as_ref() != Some(&wanted) {
            stale.push(format!("docs/{}", name.to_string_lossy()));
        }
    }
    Ok(stale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_or_missing_file_is_named_and_a_hand_written_one_is_not() {
        let (fresh, committed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert!(differences(fresh.path(), committed.path()).is_err());
        for (name, text) in [("same", "1"), ("changed", "2"), ("missing", "3")] {
            fs::write(fresh.path().join(name), text).unwrap();
        }
        for (name, text) in [("same", "1"), ("changed", "old"), ("by-hand", "4")] {
            fs::write(committed.path().join(name), text).unwrap();
        }
        let stale = differences(fresh.path(), committed.path()).unwrap();
        assert_eq!(stale, ["docs/changed", "docs/missing"]);
    }
}
