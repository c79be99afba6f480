#!/usr/bin/env bash
# Is the stack well? Every container's state, health and restarts, and what the service says of
# itself at /healthz. For people, for machines (--json) and for cron (the exit code).
set -euo pipefail
# What fails within $(…) fails here too.
shopt -s inherit_errexit

# What docker-compose.yml has that must be there. `secrets` ends when it is done; `demo` is by choice.
readonly EXPECTED="enchufe postgres redis prometheus alertmanager blackbox-exporter grafana"
# A program that does not answer within this many seconds counts as out of reach.
readonly PATIENCE=20
readonly HTTP_PATIENCE=5

readonly HEALTHY=0 UNHEALTHY=1 CANNOT_TELL=2

usage() {
  cat <<'USAGE'
healthcheck.sh: is the stack well?

  healthcheck.sh [options]                 the containers of docker-compose.yml
  healthcheck.sh --kubernetes [options]    the pods of the Helm chart or of k8s/

  --json                one JSON object instead of a table
  --quiet               print nothing while all is well
  --url URL             ask for /healthz there, as https://charge.example.org/healthz
  --max-restarts N      more restarts than this are a fault (default 5)
  --project NAME        the Compose project (default enchufe)
  --services "A B"      the services that must be there
  --namespace NAME      with --kubernetes (default enchufe)
  --selector LABELS     with --kubernetes (default app.kubernetes.io/part-of=enchufe)
  --service NAME        with --kubernetes: the Service that is asked for /healthz (default enchufe)
  --help

Exit code: 0 all is well, 1 something is not, 2 it cannot be told (a program is missing or does not
answer). A service that says `degraded` goes on without Redis: it counts as well, and Redis as a fault.

Needs jq, and docker and curl, or kubectl. For cron, which mails what is printed:

  */5 * * * * root /srv/enchufe/healthcheck.sh --quiet
USAGE
}

main() {
  read_options "$@"
  need jq
  local objects containers healthz report
  case $platform in
    docker)
      objects=$(docker_objects)
      containers=$(docker_containers <<<"$objects")
      healthz=$(docker_healthz "$objects" | judge_healthz)
      ;;
    kubernetes)
      objects=$(kubernetes_objects)
      containers=$(kubernetes_containers <<<"$objects")
      healthz=$(kubernetes_healthz | judge_healthz)
      ;;
  esac
  report=$(jq --null-input --argjson containers "$containers" --argjson service "$healthz" \
    --arg platform "$platform" '
      { healthy: (($containers | all(.ok)) and $service.ok),
        checked_at: (now | todate), platform: $platform, service: $service, containers: $containers }')
  local code=$UNHEALTHY
  [ "$(jq .healthy <<<"$report")" = true ] && code=$HEALTHY
  if [ "$quiet" = no ] || [ "$code" -ne "$HEALTHY" ]; then
    show "$report"
  fi
  exit "$code"
}

read_options() {
  platform=docker format=table quiet=no url="" max_restarts=5
  project=enchufe services=$EXPECTED
  namespace=enchufe selector=app.kubernetes.io/part-of=enchufe kubernetes_service=enchufe
  while [ $# -gt 0 ]; do
    case $1 in
      --kubernetes) platform=kubernetes ;;
      --json) format=json ;;
      --quiet) quiet=yes ;;
      --help | -h) usage; exit "$HEALTHY" ;;
      --url | --max-restarts | --project | --services | --namespace | --selector | --service)
        [ $# -ge 2 ] || cannot_tell "$1 needs a value; --help lists the options"
        case $1 in
          --url) url=$2 ;;
          --max-restarts) max_restarts=$2 ;;
          --project) project=$2 ;;
          --services) services=$2 ;;
          --namespace) namespace=$2 ;;
          --selector) selector=$2 ;;
          --service) kubernetes_service=$2 ;;
        esac
        shift
        ;;
      *) cannot_tell "there is no option $1; --help lists them" ;;
    esac
    shift
  done
  [[ $max_restarts =~ ^[0-9]{1,6}$ ]] || cannot_tell "--max-restarts takes a whole number, not $max_restarts"
}

cannot_tell() {
  echo "healthcheck.sh: $1" >&2
  exit "$CANNOT_TELL"
}

need() {
  command -v "$1" >/dev/null || cannot_tell "$1 is not installed"
}

# ask PROGRAM ARGUMENT…: what it prints, or the end of this run.
ask() {
  timeout "$PATIENCE" "$@" || cannot_tell "$1 does not answer"
}

# ---- Docker

docker_objects() {
  need docker
  local ids
  ids=$(ask docker ps --all --quiet --filter "label=com.docker.compose.project=$project")
  if [ -z "$ids" ]; then
    echo '[]'
    return
  fi
  # Word by word: an id has no spaces.
  # shellcheck disable=SC2086
  ask docker inspect $ids
}

docker_containers() {
  jq --arg expected "$services" --argjson most "$max_restarts" '
    def judged:
      if .state == "exited" and .exit_code == 0 and .once then .ok = true | .note = "done"
      elif .state != "running" then
        .ok = false | .note = "exit code \(.exit_code)" + (if .oom_killed then ", out of memory" else "" end)
      elif .health == "unhealthy" or .health == "starting" then .ok = false
      elif .restarts > $most then .ok = false | .note = "restarts too often"
      else .ok = true end;
    [ .[]
      | select(.Config.Labels["com.docker.compose.oneoff"] != "True")
      | { service: .Config.Labels["com.docker.compose.service"],
          name: (.Name | ltrimstr("/")),
          state: .State.Status,
          health: (.State.Health.Status // "none"),
          restarts: .RestartCount,
          note: (if .State.Health.Status == "unhealthy"
                 then (.State.Health.Log[-1].Output // "" | gsub("\\s+"; " ") | .[0:100]) else "" end),
          exit_code: .State.ExitCode,
          oom_killed: .State.OOMKilled,
          once: (.HostConfig.RestartPolicy.Name | . == "no" or . == "") }
      | judged
      | del(.exit_code, .oom_killed, .once) ]
    | . as $there
    | ($expected | split(" ") | map(select(. != "")) - ($there | map(.service)))
    | $there + map({ service: ., name: "", state: "missing", health: "none", restarts: 0, note: "there is no such container", ok: false })
    | sort_by(.service, .name)'
}

# docker_healthz OBJECTS
docker_healthz() {
  if [ -n "$url" ]; then
    healthz_at "$url"
    return
  fi
  local published container server
  server='[.[] | select(.Config.Labels["com.docker.compose.service"] == "enchufe" and .State.Running)][0]'
  published=$(jq --raw-output "$server"' | .NetworkSettings.Ports["8081/tcp"][0]? // empty
    | (if .HostIp == "0.0.0.0" or .HostIp == "" then "127.0.0.1" elif .HostIp == "::" then "[::1]" else .HostIp end)
      + ":" + .HostPort' <<<"$1")
  container=$(jq --raw-output "$server"' | .Id // empty' <<<"$1")
  if [ -n "$published" ]; then
    healthz_at "http://$published/healthz"
  elif [ -n "$container" ]; then
    # Nobody can ask from outside, so the server's own check does, within.
    local said
    said=$(timeout "$PATIENCE" docker exec "$container" /usr/local/bin/enchufe healthcheck 2>&1) || true
    body_of_healthz "{${said#*\{}" "$said"
  else
    body_of_healthz "" "no container of the service runs"
  fi
}

# ---- Kubernetes

kubernetes_objects() {
  need kubectl
  ask kubectl get deployments,statefulsets,pods --namespace "$namespace" --selector "$selector" \
    --output json
}

kubernetes_containers() {
  jq --argjson most "$max_restarts" '
    def entry(service; name; state; health; restarts; note; ok):
      { service: service, name: name, state: state, health: health, restarts: restarts, note: note, ok: ok };
    def component: .metadata.labels["app.kubernetes.io/component"] // .metadata.name;
    def containers:
      . as $pod
      | if .metadata.deletionTimestamp then
          entry(component; .metadata.name; "terminating"; "none"; 0; "going away"; true)
        elif .status.phase == "Succeeded" then
          entry(component; .metadata.name; "succeeded"; "none"; 0; "done"; true)
        elif (.status.containerStatuses // []) == [] then
          entry(component; .metadata.name; (.status.phase | ascii_downcase); "none"; 0;
            ([.status.conditions[]? | select(.status == "False") | .message // empty][0] // .status.reason // ""); false)
        else
          .status.containerStatuses[]
          | (.state | keys[0] // "waiting") as $state
          | (.state[$state].reason // .lastState.terminated.reason // "") as $reason
          | entry(($pod | component); "\($pod.metadata.name)/\(.name)"; $state;
              (if .ready then "ready" else "not ready" end); .restartCount;
              (if .ready and .restartCount > $most then "restarts too often" else $reason end);
              ($state == "running" and .ready and .restartCount <= $most))
        end;
    def missing:
      (.spec.replicas // 1) as $wanted | (.status.readyReplicas // 0) as $ready
      | select($ready < $wanted)
      | entry(component; "\(.kind | ascii_downcase)/\(.metadata.name)"; "incomplete"; "not ready"; 0;
          "\($ready) of \($wanted) are ready"; false);
    [ .items[] | if .kind == "Pod" then containers else missing end ]
    | if . == [] then
        [entry("enchufe"; ""; "missing"; "none"; 0; "no pod has these labels in this namespace"; false)]
      else sort_by(.service, .name) end'
}

kubernetes_healthz() {
  if [ -n "$url" ]; then
    healthz_at "$url"
    return
  fi
  local path said
  path="/api/v1/namespaces/$namespace/services/$kubernetes_service:http/proxy/healthz"
  said=$(timeout "$PATIENCE" kubectl get --raw "$path" 2>&1) || true
  body_of_healthz "$said" "$said"
}

# ---- /healthz

healthz_at() {
  need curl
  local said
  # A 503 says in its body what is wrong.
  said=$(curl --silent --show-error --location --max-time "$HTTP_PATIENCE" \
    --header 'Accept: application/json' "$1" 2>&1) || true
  body_of_healthz "$said" "$1: $said"
}

# body_of_healthz BODY OTHERWISE
body_of_healthz() {
  jq --compact-output 'select(type == "object")' <<<"$1" 2>/dev/null | grep . ||
    jq --null-input --compact-output --arg why "${2:0:200}" '{status: "unreachable", why: $why}'
}

judge_healthz() {
  jq '{ status: (.status // "unreachable"), checks: (.checks // {}), note: (.why // ""),
        ok: (.status == "ok" or .status == "degraded") }'
}

# ---- Output

show() {
  if [ "$format" = json ]; then
    printf '%s\n' "$1"
    return
  fi
  jq --raw-output '
    (["SERVICE", "CONTAINER", "STATE", "HEALTH", "RESTARTS", "NOTE"] | @tsv),
    (.containers[] | [(if .ok then .service else "! " + .service end), .name, .state, .health, .restarts, .note]
      | map(tostring | if . == "" then "-" else . end) | @tsv),
    (.service | [(if .ok then "/healthz" else "! /healthz" end), "-", .status, "-", "-",
      ([.checks | to_entries[] | "\(.key) \(.value)"] + [.note | select(. != "")] | join(", "))] | @tsv)' <<<"$1" |
    awk -F '\t' '
      { for (i = 1; i <= NF; i++) { cell[NR, i] = $i; if (i < NF && length($i) > width[i]) width[i] = length($i) } }
      END { for (row = 1; row <= NR; row++) {
              line = ""
              for (i = 1; i <= 6; i++) line = line (i < 6 ? sprintf("%-" width[i] "s  ", cell[row, i]) : cell[row, i])
              sub(/[ -]+$/, "", line); print line } }'
  jq --raw-output 'if .healthy then "\nAll is well." else
    "\nNot well: " + ([(.containers[] | select(.ok | not) | .service),
      (.service | select(.ok | not) | "/healthz")] | unique | join(", ")) end' <<<"$1"
}

main "$@"
