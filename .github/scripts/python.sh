#!/usr/bin/env bash
# python.sh DIR: a Python with what the delivery's scripts and checks need, first on the path of the
# steps that follow.

# shellcheck source=.github/scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

dir=${1:?where to put it}
python3 -m venv "$dir"
"$dir/bin/pip" install --quiet --disable-pip-version-check --requirement "$root/tests/delivery/requirements.txt"
echo "$dir/bin" >> "${GITHUB_PATH:-/dev/null}"
