#!/usr/bin/env bash
# coverage.sh PERCENT: runs the tests, says which share of the lines they reach, and fails below PERCENT.
# The report is in target/coverage. Needs cargo-llvm-cov, cargo-nextest and what `cargo xtask env` needs.

# shellcheck source=.github/scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

least=${1:?the least share of lines, in percent}
# The project's chores are no part of the service.
without='(^|/)xtask/'
dir=target/coverage

cd "$root"
cargo xtask env
set -a
# shellcheck source=/dev/null
. .testenv/env
set +a

cargo llvm-cov nextest --no-report --workspace --all-targets --exclude xtask
mkdir -p "$dir"
cargo llvm-cov report --ignore-filename-regex "$without" --lcov --output-path "$dir/lcov.info"
cargo llvm-cov report --ignore-filename-regex "$without" --json --summary-only --output-path "$dir/summary.json"
cargo llvm-cov report --ignore-filename-regex "$without" > "$dir/report.txt"

share=$(jq '.data[0].totals.lines.percent * 100 + 1e-6 | floor / 100' "$dir/summary.json")
{
    echo "### Coverage: $share % of the lines"
    echo
    echo "\`\`\`text"
    cat "$dir/report.txt"
    echo "\`\`\`"
} >> "${GITHUB_STEP_SUMMARY:-/dev/stdout}"
echo "$share % of the lines; at least $least % are asked for."
jq --exit-status --argjson least "$least" '.data[0].totals.lines.percent >= $least' "$dir/summary.json" > /dev/null ||
    fail "the tests reach too little; target/coverage/report.txt says where"
