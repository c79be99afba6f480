#!/bin/sh
# Makes the passwords and tokens of docker-compose.yml, each once, and hands them to those who need
# them. `docker compose up` runs it before everything else, in a container without a network.
#
# Each service gets a folder, ./secrets/<service>, and sees no other. What is in it belongs to whoever
# owns this clone, and the service's group may read it. What is there already is kept, so a secret of
# your own is a file you put there.
set -eu

HOME_OF_SECRETS=${1:-/secrets}
# On the machine this is a file of the person who cloned; its number is the same in the container.
PERSON=$(stat -c %u "$0")

random() {
  od -An -N 32 -tx1 /dev/urandom | tr -d ' \n'
}

# Written beside it and moved into place, so that nobody ever reads half of it.
write() {
  (umask 077 && printf '%s' "$2" >"$HOME_OF_SECRETS/$1.new")
  mv "$HOME_OF_SECRETS/$1.new" "$HOME_OF_SECRETS/$1"
}

# make PATH VALUE: unless it has been made, or given, before.
make() {
  [ -s "$HOME_OF_SECRETS/$1" ] && return
  write "$1" "$2"
  echo "made secrets/$1"
}

# follow PATH VALUE: what repeats another secret follows it when that changes.
follow() {
  [ -e "$HOME_OF_SECRETS/$1" ] && [ "$(cat "$HOME_OF_SECRETS/$1")" = "$2" ] && return
  write "$1" "$2"
}

value() {
  cat "$HOME_OF_SECRETS/$1"
}

# hand SERVICE GROUP
hand() {
  chown -R "$PERSON:$2" "$HOME_OF_SECRETS/$1"
  chmod -R u=rwX,g=rX,o= "$HOME_OF_SECRETS/$1"
}

for service in enchufe postgres redis prometheus alertmanager grafana demo; do
  mkdir -p "$HOME_OF_SECRETS/$service"
done
chown "$PERSON" "$HOME_OF_SECRETS"
chmod 0700 "$HOME_OF_SECRETS"

make postgres/password "$(random)"
make redis/password "$(random)"
make enchufe/admin_token "enchufe_$(random)"
make enchufe/metrics_token "metrics_$(random)"
make grafana/admin_password "$(random)"
make demo/charger_password "$(random | cut -c 1-40)"

follow enchufe/database_url "postgres://enchufe:$(value postgres/password)@postgres/enchufe"
follow enchufe/redis_url "redis://:$(value redis/password)@redis"
follow redis/redis.conf "requirepass $(value redis/password)"
follow prometheus/enchufe_metrics_token "$(value enchufe/metrics_token)"
follow demo/api_token "$(value enchufe/admin_token)"

# The webhook is somebody else's to give. Alertmanager reads it whenever it sends.
[ -e "$HOME_OF_SECRETS/alertmanager/slack_webhook_url" ] || write alertmanager/slack_webhook_url ""
if [ ! -s "$HOME_OF_SECRETS/alertmanager/slack_webhook_url" ]; then
  echo "Critical alerts go nowhere yet: put Slack's webhook into secrets/alertmanager/slack_webhook_url," \
    "and run \`docker compose up --detach\` once more."
fi

hand enchufe 65532
hand postgres 999
hand redis 999
hand prometheus 65534
hand alertmanager 65534
hand grafana 0
hand demo 65532
