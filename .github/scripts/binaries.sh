#!/usr/bin/env bash
# binaries.sh IMAGE VERSION DIR: takes the program out of the image, for each platform, and leaves
# archives and their checksums in DIR. So what is downloaded is what the image runs, to the byte.

# shellcheck source=.github/scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# Where the Dockerfile puts it.
program=/usr/local/bin/enchufe

image=${1:?the image}
version=${2:-}
dir=${3:?where to put the archives}
version_or_fail "$version"
cd "$root"
mkdir -p "$dir"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The same commit gives the same archive.
time=$(git show --no-patch --format=%ct HEAD)

for platform in amd64:x86_64 arm64:aarch64; do
    name=enchufe-$version-${platform#*:}-linux
    mkdir "$work/$name"
    docker pull --quiet --platform "linux/${platform%:*}" "$image"
    container=$(docker create --platform "linux/${platform%:*}" "$image")
    docker cp --quiet "$container:$program" "$work/$name/enchufe"
    docker rm "$container" > /dev/null
    cp LICENSE README.md CHANGELOG.md "$work/$name/"
    tar --create --directory "$work" --sort=name --mtime="@$time" --owner=0 --group=0 --numeric-owner "$name" |
        gzip --no-name --best > "$dir/$name.tar.gz"
done
(cd "$dir" && sha256sum -- *.tar.gz > SHA256SUMS)
cat "$dir/SHA256SUMS"
