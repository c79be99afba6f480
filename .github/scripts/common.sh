# shellcheck shell=bash
# What the pipeline's scripts share. They run in the same way in a workflow, in the tests of
# tests/delivery, and in a person's shell: what GitHub would tell is asked of Git, and what goes to
# GITHUB_OUTPUT is printed where there is none.

set -euo pipefail

root=$(git -C "$(dirname "${BASH_SOURCE[0]}")" rev-parse --show-toplevel)
# Read by the scripts that source this file.
# shellcheck disable=SC2034
readonly root

# Ends with a sentence that says what to do.
fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# output NAME VALUE: something for later steps of the workflow.
output() {
    echo "$1=$2" | tee -a "${GITHUB_OUTPUT:-/dev/null}"
}

# A release's version, and nothing else: it becomes part of tags, names and commands.
version_or_fail() {
    [[ "${1:-}" =~ ^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$ ]] ||
        fail "'${1:-}' is no version; one looks like 1.4.2"
}

# The version that the sources give themselves.
version_of_sources() {
    sed -n '/^\[workspace\.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml"
}
