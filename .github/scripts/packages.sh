#!/usr/bin/env bash
# Installs what the tests need beyond what GitHub's machines have. `cargo xtask env` would do it as root,
# which a workflow is not; the rest of what it prepares needs no right.

# shellcheck source=.github/scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update --quiet
"${as_root[@]}" apt-get install --quiet --yes --no-install-recommends \
    libfaketime postgresql redis-server
