#!/usr/bin/env bash
# Terraform's own checks of infra/: format, validity, tests. Providers come from their registry, and the
# tests mock them; nothing is asked of a cloud.

# shellcheck source=.github/scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

cd "$root"
terraform fmt -check -diff -recursive infra
# What is a configuration of its own; modules are checked as part of those.
for folder in infra infra/bootstrap; do
    echo "-- $folder"
    terraform -chdir="$folder" init -backend=false -input=false
    terraform -chdir="$folder" validate
    terraform -chdir="$folder" test
done
