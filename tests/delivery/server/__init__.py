"""A server to try the playbook on: a Debian of its own, with systemd, and no network but its own."""
