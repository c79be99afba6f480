#!/usr/bin/env bash
# set-version.sh VERSION: gives this version to everything that has one.
#
# What is made from other files (Cargo.lock, helm/, k8s/) is made again.

# shellcheck source=.github/scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

new=${1:-}
version_or_fail "$new"
cd "$root"
old=$(version_of_sources)
[ -n "$old" ] || fail "Cargo.toml has no version in [workspace.package]"
pattern=${old//./\\.}

# replace FILE EXPRESSION: one change that must find its place.
replace() {
    grep -Eq "${2%%@@*}" "$1" || fail "$1 no longer has the place where $old stands"
    sed -E -i "s/${2%%@@*}/${2##*@@}/" "$1"
}

replace Cargo.toml "^version = \"$pattern\"@@version = \"$new\""
replace docs/openapi.json "\"version\": \"$pattern\"@@\"version\": \"$new\""
cargo update --quiet --workspace

# Where a file names the image, the archive, the chart or what Ansible installs.
named='enchufe:|enchufe-|enchufe_version: |charts/enchufe --version '
git grep --files-with-matches --extended-regexp "($named)$pattern" -- ':!tests' ':!infra/tests' ':!CHANGELOG.md' |
    xargs --no-run-if-empty sed -E -i "s#($named)$pattern#\1$new#g" || true

if [ -e helm/enchufe/Chart.yaml ]; then
    replace helm/enchufe/Chart.yaml "^version: $pattern@@version: $new"
    replace helm/enchufe/Chart.yaml "^appVersion: \"$pattern\"@@appVersion: \"$new\""
    python3 helm/generate.py
fi
