"""What was promised, and how much of the allowance for failures is left."""

from source.alerts import BURNS
from source.dashboards.panels import Query, board, number, over_time, rows, steps


def dashboard(settings: dict):
    wanted = settings["objectives"]
    return board(
        "objectives",
        "Objectives",
        "Availability and latency over 30 days: what is left of the budget, and how fast it is spent.",
        [
            (
                f"Availability: {wanted['availability'] * 100:g}% of the requests do not end in a server error",
                objective(
                    "availability", 1 - wanted["availability"], "requests that ended in a server error"
                ),
            ),
            (
                f"Latency: {wanted['latency'] * 100:g}% of the requests are answered within {wanted['latency_seconds']:g} s",
                objective(
                    "latency",
                    1 - wanted["latency"],
                    f"requests that took longer than {wanted['latency_seconds']:g} s",
                ),
            ),
            ("Alerts", alerts()),
        ],
    )


def objective(name: str, allowed: float, what: str):
    burns = [
        Query(f"enchufe:{name}_errors:ratio_rate{long}{{<place>}} / {allowed:.6g}", f"over {long}")
        for long, *_ in BURNS
    ]
    fast = BURNS[0][2]
    return [
        number(
            "Budget left", "Share of 30 days' allowance for failures that is left. Below zero the objective is missed.",
            "percentunit", Query(f"min(enchufe:{name}_budget:left30d{{<place>}})"),
            thresholds=steps(0.25, 0, low_is_bad=True), width=4, height=8, decimals=1,
        ),
        over_time(
            "How fast the budget is spent", f"1 uses it up in just 30 days. Share of {what}, as a multiple of what is allowed.",
            "short", *burns, thresholds=steps(1, fast), width=10,
        ),
        over_time(
            "Budget left", "How the rest of the budget develops.", "percentunit",
            Query(f"enchufe:{name}_budget:left30d{{<place>}}", "left"),
            thresholds=steps(0.25, 0, low_is_bad=True), width=6, floor=-1.0, top=1,
        ),
        number(
            "Last hour", f"Share of the last hour's {what}.", "percentunit",
            Query(f"max(enchufe:{name}_errors:ratio_rate1h{{<place>}})"),
            thresholds=steps(allowed, fast * allowed), width=4, height=8, decimals=2,
        ),
    ]  # fmt: skip


def alerts():
    return [
        rows(
            "Firing alerts", "What is being sent, but for the Watchdog that always fires.", "short",
            Query('ALERTS{alertstate="firing", alertname=~"Enchufe.*"}'), thresholds=steps(act=1), width=24,
        ),
        over_time(
            "Requests", "Requests per second that count for the objectives: all but probes.", "reqps",
            Query("enchufe:requests:rate5m{<place>}", "over 5m"), width=24, height=6,
        ),
    ]  # fmt: skip
