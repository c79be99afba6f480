"""Stations, sessions, and what is said over OCPP."""

from source.dashboards.bounds import watched
from source.dashboards.panels import Query, board, number, over_time, steps


def dashboard(settings: dict):
    return board(
        "network",
        "Network",
        "The charging network: stations and connectors, sessions and energy, OCPP messages and commands.",
        [
            ("Stations", stations(settings)),
            ("Charging", charging()),
            ("OCPP", ocpp(settings)),
            ("Commands", commands(settings)),
        ],
    )


def stations(settings: dict):
    return [
        number(
            "Stations", "Stations entered.", "short",
            Query("sum(max by (namespace, environment, status) (enchufe_stations{<network>}))"),
        ),
        number(
            "Online", "Stations with a live connection.", "short",
            Query("sum(max by (namespace, environment) (enchufe_stations_online{<network>}))"),
        ),
        number(
            "Online share", "Stations with a live connection, of those a charger reports for.", "percentunit",
            Query(
                "sum(max by (namespace, environment) (enchufe_stations_online{<network>}))"
                " / (sum(max by (namespace, environment) (enchufe_stations_online{<network>}))"
                ' + sum(max by (namespace, environment) (enchufe_stations{<network>, status="offline"})))'
            ),
            thresholds=steps(0.95, 0.8, low_is_bad=True), decimals=1,
        ),
        number(
            "Faulted connectors", "Connectors that report a fault.", "short",
            Query('sum(max by (namespace, environment) (enchufe_connectors{<network>, status="faulted"}))'),
            thresholds=steps(1, 10),
        ),
        number(
            "Longest fault", "How long the connector that is faulted longest has been so.", "s",
            Query("max(enchufe_connector_longest_fault_seconds{<network>})"),
            thresholds=watched(settings, "EnchufeConnectorFaulted"),
        ),
        number(
            "Connections", "Connections of chargers held by the instances shown.", "short",
            Query("sum(enchufe_ocpp_connections{<service>})"),
        ),
        over_time(
            "Nodes", "Nodes of the network that live.", "short",
            Query("max by (namespace, environment) (enchufe_nodes{<network>})", "{{environment}}"), width=24, height=5,
        ),
        over_time(
            "Stations by state", "Every station, by its derived state.", "short",
            Query("sum by (status) (max by (namespace, environment, status) (enchufe_stations{<network>}))", "{{status}}"),
            stacked=True,
        ),
        over_time(
            "Connectors by state", "Every connector, by the class of its state.", "short",
            Query("sum by (status) (max by (namespace, environment, status) (enchufe_connectors{<network>}))", "{{status}}"),
            stacked=True,
        ),
        over_time(
            "Online share", "Stations with a live connection, of those a charger reports for.", "percentunit",
            Query(
                "sum(max by (namespace, environment) (enchufe_stations_online{<network>}))"
                " / (sum(max by (namespace, environment) (enchufe_stations_online{<network>}))"
                ' + sum(max by (namespace, environment) (enchufe_stations{<network>, status="offline"})))',
                "online",
            ),
            thresholds=steps(0.95, 0.8, low_is_bad=True), top=1,
        ),
        over_time(
            "Changes of connectors", "Connectors created, deleted and changed, per second.", "cps",
            *[
                Query(f"sum(rate(connectors_{what}_total{{<service>}}[$__rate_interval]))", what)
                for what in ("created", "deleted", "updated")
            ],
        ),
    ]  # fmt: skip


def charging():
    return [
        number(
            "Charging now", "Charging sessions under way.", "short",
            Query("sum(max by (namespace, environment) (enchufe_charging_sessions_active{<network>}))"),
            height=8,
        ),
        number(
            "Energy in this time", "Energy of the sessions that ended within the time shown.", "watth",
            Query("sum(increase(enchufe_energy_delivered_watt_hours_total{<service>}[$__range]))"),
            height=8,
        ),
        over_time(
            "Charging sessions", "Sessions under way.", "short",
            Query("sum(max by (namespace, environment) (enchufe_charging_sessions_active{<network>}))", "sessions"),
            width=8,
        ),
        over_time(
            "Energy of ended sessions", "Watt-hours added by sessions as they end, per hour.", "watth",
            Query("sum(rate(enchufe_energy_delivered_watt_hours_total{<service>}[$__rate_interval])) * 3600", "per hour"),
            width=8,
        ),
    ]  # fmt: skip


def ocpp(settings: dict):
    return [
        over_time(
            "Messages by action", "OCPP calls per second, by action; received from chargers and sent to them.", "mps",
            Query(
                "sum by (action, direction) (rate(enchufe_ocpp_messages_total{<service>}[$__rate_interval]))",
                "{{action}} {{direction}}",
            ),
            stacked=True,
        ),
        over_time(
            "Failed messages", "Share of the OCPP calls that ended in an error, without an answer, or could not be read.",
            "percentunit",
            Query(
                '(sum(rate(enchufe_ocpp_messages_total{<service>, outcome!="answered"}[$__rate_interval])) or vector(0))'
                " / sum(rate(enchufe_ocpp_messages_total{<service>}[$__rate_interval]))",
                "failed",
            ),
            thresholds=watched(settings, "EnchufeOcppErrorsHigh"),
        ),
        over_time(
            "Failed messages by kind", "OCPP calls per second that were not answered well, by action and how they ended.", "mps",
            Query(
                'sum by (action, outcome) (rate(enchufe_ocpp_messages_total{<service>, outcome!="answered"}[$__rate_interval]))',
                "{{action}} {{outcome}}",
            ),
            thresholds=steps(0.1, 1),
        ),
        over_time(
            "Time to an answer", "99 in a hundred OCPP calls are answered within this time, by direction.", "s",
            Query(
                "histogram_quantile(0.99, sum by (le, direction)"
                " (rate(enchufe_ocpp_call_duration_seconds_bucket{<service>}[$__rate_interval])))",
                "p99 {{direction}}",
            ),
            Query(
                "histogram_quantile(0.5, sum by (le, direction)"
                " (rate(enchufe_ocpp_call_duration_seconds_bucket{<service>}[$__rate_interval])))",
                "p50 {{direction}}",
            ),
            thresholds=steps(5, 15),
        ),
        over_time(
            "Connects and disconnects", "Connections of chargers accepted and ended per second, by why they ended.", "cps",
            Query("sum(rate(enchufe_ocpp_connects_total{<service>}[$__rate_interval]))", "connects"),
            Query("sum by (reason) (rate(enchufe_ocpp_disconnects_total{<service>}[$__rate_interval]))", "{{reason}}"),
        ),
        over_time(
            "Deviations", "Messages understood although they depart from the standard, per second.", "mps",
            Query(
                "sum by (version, action) (rate(enchufe_ocpp_deviations_total{<service>}[$__rate_interval]))",
                "{{version}} {{action}}",
            ),
        ),
    ]  # fmt: skip


def commands(settings: dict):
    return [
        over_time(
            "Commands by outcome", "Commands to chargers that ended in each five minutes, by how.", "short",
            Query("sum by (outcome) (increase(enchufe_commands_total{<service>}[5m]))", "{{outcome}}"),
            stacked=True, width=8,
        ),
        over_time(
            "Commands by kind", "Commands to chargers that ended in each five minutes, by what they asked for.", "short",
            Query("sum by (command) (increase(enchufe_commands_total{<service>}[5m]))", "{{command}}"),
            stacked=True, width=8,
        ),
        over_time(
            "Failed commands", "Share of the commands of 15 minutes that failed, timed out or were lost.", "percentunit",
            Query(
                '(sum(increase(enchufe_commands_total{<service>, outcome=~"failed|timed_out|lost"}[15m])) or vector(0))'
                " / sum(increase(enchufe_commands_total{<service>}[15m]))",
                "failed",
            ),
            thresholds=watched(settings, "EnchufeCommandsFailing"), width=8,
        ),
    ]  # fmt: skip
