#!/usr/bin/env bash
# rust.sh [COMPONENT…]: installs the Rust that the sources ask for, with these components, and makes it
# the one that is used. The manifest's `rust-version` is the one place that names it.

# shellcheck source=.github/scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

version=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$root/Cargo.toml")
[ -n "$version" ] || fail "Cargo.toml has no rust-version"

arguments=()
for component in "$@"; do
    arguments+=(--component "$component")
done
rustup toolchain install "$version" --profile minimal --no-self-update "${arguments[@]}"
rustup default "$version"
