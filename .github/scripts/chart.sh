#!/usr/bin/env bash
# The chart, with the real Helm.
#
#   chart.sh check                  lints it, renders it, holds what comes out against Kubernetes' schemas
#   chart.sh publish VERSION OWNER  packages it, pushes it to GitHub's registry, signs it

# shellcheck source=.github/scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

chart=helm/enchufe
# The oldest that the chart supports, and newer ones.
kubernetes=(1.30.0 1.34.0 1.36.0)

check() {
    local case version options
    for case in defaults "$chart/values-production.yaml" tests/delivery/chart/all-{on,off}.yaml; do
        options=()
        [ "$case" = defaults ] || options=(--values "$case")
        helm lint --strict "$chart" "${options[@]}"
        for version in "${kubernetes[@]}"; do
            echo "$case on Kubernetes $version"
            helm template enchufe "$chart" "${options[@]}" --namespace enchufe --kube-version "$version" |
                schemas "$version"
        done
    done
    for version in "${kubernetes[@]}"; do
        echo "k8s/ on Kubernetes $version"
        kubectl kustomize k8s | schemas "$version"
    done
}

# Custom resources have no schema there; tests/delivery holds them against those of their makers.
schemas() {
    kubeconform -strict -summary -kubernetes-version "$1" \
        -skip ServiceMonitor,PrometheusRule,Probe
}

publish() {
    local version=$1 owner=${2,,} dist said digest
    version_or_fail "$version"
    dist=$(mktemp -d)
    helm package "$chart" --version "$version" --app-version "$version" --destination "$dist"
    said=$(helm push "$dist/enchufe-$version.tgz" "oci://ghcr.io/$owner/charts" 2>&1)
    rm -rf "$dist"
    echo "$said"
    digest=$(sed -n 's/^Digest: \(sha256:[0-9a-f]\{64\}\)$/\1/p' <<< "$said")
    [ -n "$digest" ] || fail "helm push named no digest"
    cosign sign --yes "ghcr.io/$owner/charts/enchufe@$digest"
}

cd "$root"
case ${1:-} in
    check) check ;;
    publish) publish "${2:-}" "${3:?the owner of the repository}" ;;
    *) fail "there is no step '${1:-}'; there are check, publish" ;;
esac
