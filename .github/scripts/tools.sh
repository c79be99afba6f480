#!/usr/bin/env bash
# tools.sh NAME…: installs tools for a workflow on Linux, amd64. Each is fetched from its maker and held
# against the checksum here. To update one, change both and let CI say whether it still fits.

# shellcheck source=.github/scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# What takes longer hangs.
seconds=120

# about NAME: its address, checksum, and the place in the archive.
about() {
    case $1 in
        helm)
            echo https://get.helm.sh/helm-v3.22.0-linux-amd64.tar.gz
            echo 1e4ab49e429626cf6c6958d914248b78c9730803c2751b87627e171dc800e7bb
            echo linux-amd64/helm
            ;;
        kubeconform)
            echo https://github.com/yannh/kubeconform/releases/download/v0.8.0/kubeconform-linux-amd64.tar.gz
            echo 9bc2bffbf71f261128533edaf912153948b7ff238f9a531ae6d34466ec287883
            echo kubeconform
            ;;
        actionlint)
            echo https://github.com/rhysd/actionlint/releases/download/v1.7.12/actionlint_1.7.12_linux_amd64.tar.gz
            echo 8aca8db96f1b94770f1b0d72b6dddcb1ebb8123cb3712530b08cc387b349a3d8
            echo actionlint
            ;;
        *) fail "no tool '$1' is known here; add it" ;;
    esac
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bin=${RUNNER_TEMP:-$root/.testenv}/bin
mkdir -p "$bin"

for name in "$@"; do
    described=$(about "$name")
    mapfile -t is <<< "$described"
    curl --fail --silent --show-error --location --retry 3 --max-time "$seconds" --output "$work/archive" "${is[0]}"
    echo "${is[1]}  $work/archive" | sha256sum --check --quiet || fail "$name is not what it was: ${is[0]}"
    tar --extract --gzip --file "$work/archive" --directory "$work" "${is[2]}"
    install -m 0755 "$work/${is[2]}" "$bin/$name"
    echo "$name installed as $bin/$name"
done
echo "$bin" >> "${GITHUB_PATH:-/dev/null}"
