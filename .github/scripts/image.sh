#!/usr/bin/env bash
# The container image, step by step; image.yml and ci.yml call this.
#
#   image.sh describe VERSION REPOSITORY       what a build has to know; fails unless this is that release
#   image.sh publish NAME VERSION DIR [HUB]    joins the images whose digests are the names of files in
#                                              DIR, tags and signs them, on Docker Hub too if it is named
#   image.sh copy IMAGE VERSION REGISTRY       copies it to the address of an Amazon registry
#   image.sh try IMAGE                         starts it as production does, sees it healthy, stops it

# shellcheck source=.github/scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# The start period and one retry of the health check.
healthy_within=90
# The service's own bound for a graceful stop, and a little more.
stopped_within=30

main() {
    local step=${1:-}
    shift || true
    case $step in
        describe) describe "$@" ;;
        publish) publish "$@" ;;
        copy) copy "$@" ;;
        try) try "$@" ;;
        *) fail "there is no step '$step'; there are describe, publish, copy, try" ;;
    esac
}

describe() {
    local version=$1 repository=${2,,} commit
    version_or_fail "$version"
    cd "$root"
    [ "$(version_of_sources)" = "$version" ] ||
        fail "the sources say they are '$(version_of_sources)', not $version"
    commit=$(git rev-parse HEAD)
    [ "$(git rev-parse --quiet --verify "refs/tags/v$version^{commit}")" = "$commit" ] ||
        fail "$commit is not what v$version names"
    output name "ghcr.io/$repository"
    output hub "docker.io/$repository"
    output commit "$commit"
    output created "$(git show --no-patch --format=%cI HEAD)"
}

publish() {
    local name=$1 version=$2 digests=$3 hub=${4:-} digest sources=()
    version_or_fail "$version"
    for file in "$digests"/*; do
        digest=${file##*/}
        [[ "$digest" =~ ^[0-9a-f]{64}$ ]] || fail "$file is not named after a digest"
        sources+=("$name@sha256:$digest")
    done
    docker buildx imagetools create --tag "$name:$version" "${sources[@]}"
    digest=$(docker buildx imagetools inspect "$name:$version" --format '{{json .Manifest}}' | jq --raw-output .digest)
    [[ "$digest" =~ ^sha256:[0-9a-f]{64}$ ]] || fail "$name:$version has no digest: '$digest'"
    # Signed before it gets the name that people pull without looking.
    cosign sign --yes --recursive "$name@$digest"
    if [ -n "$hub" ]; then
        docker buildx imagetools create --tag "$hub:$version" "$name@$digest"
        cosign sign --yes --recursive "$hub@$digest"
        docker buildx imagetools create --tag "$hub:latest" "$hub@$digest"
    fi
    docker buildx imagetools create --tag "$name:latest" "$name@$digest"
    output digest "$digest"
}

# Only the version: what is tagged there once stays what it is.
copy() {
    local image=$1 version=$2 registry=$3
    version_or_fail "$version"
    [[ "$registry" =~ ^[0-9]{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com/[a-z0-9/._-]+$ ]] ||
        fail "'$registry' is no Amazon registry; one looks like 123456789012.dkr.ecr.eu-south-2.amazonaws.com/enchufe"
    aws ecr get-login-password --region "${BASH_REMATCH[1]}" |
        docker login --username AWS --password-stdin "${registry%%/*}"
    docker buildx imagetools create --tag "$registry:$version" "$image"
}

try() {
    local image=$1 container state started
    container=$(docker run --detach --read-only --cap-drop ALL --security-opt no-new-privileges \
        --user 65532:65532 --volume /data --tmpfs /tmp --memory 512m "$image")
    # The name is wanted now; when the script ends it is out of scope.
    # shellcheck disable=SC2064
    trap "docker rm --force --volumes $container > /dev/null" EXIT

    started=$SECONDS
    until state=$(docker inspect --format '{{.State.Status}} {{.State.Health.Status}}' "$container") &&
        [ "$state" = "running healthy" ]; do
        if [[ "$state" != running* ]] || ((SECONDS - started > healthy_within)); then
            docker logs "$container" >&2
            fail "after $((SECONDS - started)) s the container is '$state'"
        fi
        sleep 1
    done
    echo "healthy after $((SECONDS - started)) s"

    started=$SECONDS
    docker stop --time "$stopped_within" "$container" > /dev/null
    state=$(docker inspect --format '{{.State.ExitCode}}' "$container")
    [ "$state" = 0 ] || fail "it did not stop by itself: it ended with $state"
    echo "stopped after $((SECONDS - started)) s"
}

main "$@"
