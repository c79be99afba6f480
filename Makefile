# A thin front: every target is one command that can be typed by hand.

.DEFAULT_GOAL := help
.PHONY: help run test check fmt generate clients console schemathesis monitoring verify rules bench bench-cluster env clean-env

##@ Use
run: ## Start a demonstration on loopback, with simulated chargers
	cargo run --release --package enchufe -- serve --demo

##@ Change
check: ## Formatting, lints and quick tests: before every commit
	cargo xtask check
test: ## Everything a change can break; installs and starts what it needs
	cargo xtask test
fmt: ## Format the code
	cargo fmt --all
generate: ## Write the generated references under docs/
	cargo xtask generate
rules: ## Write the alert rules and dashboards of monitoring/
	cargo xtask rules

##@ Look closer
clients: ## Drive chargers written by others against a server
	cargo xtask clients
console: ## The console in a real browser, against a server
	cargo xtask console
schemathesis: ## Hold the OpenAPI description against a server
	cargo xtask schemathesis
monitoring: ## Alerts, dashboards and messages, with the real Prometheus
	cargo xtask monitoring
verify: ## Image, chart, playbooks, infrastructure and workflows
	cargo xtask verify
bench: ## Measure
	cargo xtask bench
bench-cluster: ## Measure several nodes as one network, while one dies and all restart
	cargo xtask bench-cluster

##@ Test services
env: ## Prepare PostgreSQL, Redis and the clients under .testenv/
	cargo xtask env
clean-env: ## Stop them and remove .testenv/
	cargo xtask env --stop
	rm -rf .testenv tests/clients/node/node_modules tests/console/node_modules tests/delivery/node/node_modules

# Colour only where it is wanted: on a terminal, and not when NO_COLOR is set.
help:
	@if [ -t 1 ] && [ -z "$${NO_COLOR:-}" ]; then b='\033[1m' c='\033[36m' d='\033[2m' r='\033[0m'; fi; \
	awk -v b="$$b" -v c="$$c" -v d="$$d" -v r="$$r" -F ':.*## ' ' \
		BEGIN { printf "\n  %sEnchufe%s  %san EV charging network in one binary%s\n", b, r, d, r } \
		/^##@ / { printf "\n  %s%s%s\n", d, substr($$0, 5), r } \
		/^[a-z-]+:.*## / { printf "    %s%-14s%s %s\n", c, $$1, r, $$2 } \
		END { print "" }' $(MAKEFILE_LIST)
