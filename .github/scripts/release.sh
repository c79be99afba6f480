#!/usr/bin/env bash
# The release, step by step. Each is a job of release.yml, or a part of one:
#
#   release.sh plan                       is there something to release, and as which version
#   release.sh commit VERSION DIR         makes the release's commit; DIR gets it as a bundle, and notes
#   release.sh propose COMMIT DIR         puts that commit on the branch release/next
#   release.sh tag VERSION COMMIT NOTES   moves main to it and tags it, both or neither
#   release.sh publish VERSION NOTES DIR  makes GitHub's release, with the files in DIR
#
# cliff.toml says what becomes of which commit. REMOTE (origin) and MAIN (main) name where it goes.

# shellcheck source=.github/scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

remote=${REMOTE:-origin}
main=${MAIN:-main}
branch=release/next

main() {
    local step=${1:-}
    shift || true
    case $step in
        plan | commit | propose | tag | publish) "$step" "$@" ;;
        *) fail "there is no step '$step'; there are plan, commit, propose, tag, publish" ;;
    esac
}

plan() {
    local changes tag
    changes=$(cliff --unreleased --context | jq '[.[].commits[]] | length')
    if [ "$changes" -eq 0 ]; then
        output release false
        output version "$(version_of_sources)"
        return
    fi
    tag=$(cliff --bumped-version)
    version_or_fail "${tag#v}"
    output release true
    output version "${tag#v}"
}

commit() {
    local version=$1 dir=$2
    version_or_fail "$version"
    cd "$root"
    [ -z "$(git status --porcelain)" ] || fail "the work tree has changes; commit or stash them first"
    if git rev-parse --quiet --verify "refs/tags/v$version" > /dev/null; then
        fail "v$version exists already"
    fi
    "$root/.github/scripts/set-version.sh" "$version"
    cliff --tag "v$version" --output CHANGELOG.md
    git add --all
    as_pipeline commit --quiet --message "chore(release): v$version"

    mkdir -p "$dir"
    cliff --unreleased --tag "v$version" --strip header --output "$dir/notes.md"
    git bundle create --quiet "$dir/release.bundle" HEAD^..HEAD HEAD
    output commit "$(git rev-parse HEAD)"
}

propose() {
    local commit=$1 dir=$2 touched
    cd "$root"
    git fetch --quiet "$dir/release.bundle" HEAD
    [ "$(git rev-parse FETCH_HEAD)" = "$commit" ] || fail "the bundle does not hold $commit"
    [ "$(git rev-parse "$commit^")" = "$(git rev-parse HEAD)" ] || fail "$commit does not follow on what was merged"
    # Tools of others have made it, and what runs next has more rights.
    touched=$(git diff --name-only HEAD "$commit" -- .ci .github crates xtask)
    [ -z "$touched" ] || fail "a release's commit changes no code, and this one changes" "$touched"
    # Of an earlier release that came to nothing there may still be a commit.
    git push --quiet --force "$remote" "$commit:refs/heads/$branch"
}

tag() {
    local version=$1 commit=$2 notes=$3 parent
    version_or_fail "$version"
    cd "$root"
    parent=$(git rev-parse "$commit^")
    as_pipeline tag --annotate --force --file "$notes" --cleanup verbatim "v$version" "$commit"
    # Refused as a whole if main is no longer the commit's parent.
    if git push --quiet --atomic "$remote" "$commit:refs/heads/$main" "refs/tags/v$version"; then
        # It is not there when somebody releases by hand.
        git push --quiet "$remote" ":refs/heads/$branch" 2> /dev/null || true
        output tagged true
    elif [ "$(git ls-remote "$remote" "refs/heads/$main" | cut -f1)" != "$parent" ]; then
        echo "::notice::$main has moved on while this was checked; the run for the newer commit releases."
        output tagged false
    else
        fail "$remote refuses the push; if $main is protected, RELEASE_TOKEN has to be allowed to pass"
    fi
}

publish() {
    local version=$1 notes=$2 dir=$3
    version_or_fail "$version"
    cd "$root"
    if gh release view "v$version" > /dev/null 2>&1; then
        # A second try: what the first left is replaced.
        gh release upload "v$version" --clobber "$dir"/*
    else
        gh release create "v$version" --verify-tag --title "Enchufe $version" --notes-file "$notes" "$dir"/*
    fi
}

cliff() {
    RUST_LOG=error NO_COLOR=1 git-cliff --config "$root/cliff.toml" --repository "$root" --offline "$@"
}

# Git, with an author even where nobody has a name.
as_pipeline() {
    local name='github-actions[bot]' mail='41898282+github-actions[bot]@users.noreply.github.com'
    GIT_AUTHOR_NAME=$name GIT_AUTHOR_EMAIL=$mail GIT_COMMITTER_NAME=$name GIT_COMMITTER_EMAIL=$mail git "$@"
}

main "$@"
