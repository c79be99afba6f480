"""What each alert must do: the series it looks at, on both sides of every threshold, and the words
it must say. `rules_test.py` makes promtool's tests of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

MINUTE, HOUR, DAY = 60, 3600, 86400

# Where everything happens. The values show that labels reach the alert and its links.
PLACE = {"namespace": "city", "environment": "test"}
POD = {**PLACE, "pod": "enchufe-0"}
LABELS = 'job="enchufe",namespace="city",environment="test",pod="enchufe-0",instance="h:8000"'
KUBE = 'namespace="city",pod="enchufe-0",container="enchufe"'


@dataclass(frozen=True)
class Gauge:
    value: float


@dataclass(frozen=True)
class Counter:
    per_second: float


State = dict[str, Gauge | Counter]


@dataclass(frozen=True)
class Case:
    """`state(which, main, also, quiet)` is a world in which the alert's measures have these values.

    `fires_after` is how long that world must have lasted for the alert to fire: not a step less.
    """

    key: str
    state: Callable[[str, float, float | None, float | None], State]
    fires_after: float
    labels: dict[str, str]
    says: str
    # The world before, and after it has gone well again.
    good: Callable[[str], State]
    before: float = 0
    after: float = 10 * MINUTE
    step: int = 15
    # Whether the absence of every series is what it fires for.
    fires_when_missing: bool = False
    # The labels differ where the container is measured by others.
    kubernetes_labels: dict[str, str] | None = None
    # A world in which only the second condition fails: (which, value) -> worlds and how long each.
    also_alone: Callable[[str, float], list[tuple[State, float]]] | None = None
    # Likewise the first, where the two look at the same series.
    main_alone: Callable[[str, float], list[tuple[State, float]]] | None = None
    # No world makes it silent.
    always: bool = False
    over: float | None = None
    under: float | None = None


def reaching(window: float, enough: float, value: float, step: float) -> float:
    """When the rate over a window that began empty is enough: it rises to its value as the window
    fills."""
    return math.ceil(window * enough / value / step) * step


def same(state: Callable[[float, float | None], State]):
    """A state that is the same in both sets and has no second condition."""
    return lambda _which, main, _also, quiet: state(main, quiet)


def http(status: int, endpoint: str = "/api/v1/stations") -> str:
    return f'http_requests_total{{{LABELS},method="GET",endpoint="{endpoint}",http_status="{status}"}}'


# Probes, which must not count: a thousand a second, all good and quick.
PROBES: State = {
    http(200, "/health"): Counter(1000),
    f'http_request_duration_seconds_bucket{{{LABELS},method="GET",endpoint="/health",le="0.005"}}': Counter(
        1000
    ),
    f'http_request_duration_seconds_bucket{{{LABELS},method="GET",endpoint="/health",le="+Inf"}}': Counter(
        1000
    ),
    f'http_request_duration_seconds_count{{{LABELS},method="GET",endpoint="/health"}}': Counter(1000),
}


def answered(status: int):
    return same(
        lambda share, per_second: {
            http(status): Counter(per_second * share),
            http(200): Counter(per_second * (1 - share)),
            **PROBES,
        }
    )


def slow(seconds: float, per_second: float) -> State:
    """Every request took between 2 and 5 seconds, such that the 90th percentile is `seconds`."""
    bucket = (
        f'http_request_duration_seconds_bucket{{{LABELS},method="GET",endpoint="/api/v1/stations",le="%s"}}'
    )
    # Within a bucket the quantile is interpolated: 0.9 = below + share * (seconds - 2) / 3.
    part = (seconds - 2) / 3
    below = (0.9 - part) / (1 - part)
    return {
        http(200): Counter(per_second),
        bucket % "2.0": Counter(per_second * below),
        bucket % "5.0": Counter(per_second),
        bucket % "+Inf": Counter(per_second),
        # Long because it was asked to wait.
        f'http_request_duration_seconds_bucket{{{LABELS},method="POST",endpoint="/api/v1/stations/{{id}}/commands",le="5.0"}}': Counter(
            0
        ),
        f'http_request_duration_seconds_bucket{{{LABELS},method="POST",endpoint="/api/v1/stations/{{id}}/commands",le="+Inf"}}': Counter(
            50
        ),
        **PROBES,
    }


def stations(lost_share: float, lost: float) -> State:
    return {
        f'enchufe_stations{{{LABELS},status="offline"}}': Gauge(3 + lost),
        f'enchufe_stations{{{LABELS},status="available"}}': Gauge(100),
        f"enchufe_stations_online{{{LABELS}}}": Gauge(lost / lost_share - lost),
        # A second instance sees the same network: not a second network.
        f'enchufe_stations{{{LABELS.replace("enchufe-0", "enchufe-1")},status="offline"}}': Gauge(3 + lost),
        f"enchufe_stations_online{{{LABELS.replace('enchufe-0', 'enchufe-1')}}}": Gauge(
            lost / lost_share - lost
        ),
    }


def stations_good(_which: str) -> State:
    return {
        **{name: Gauge(3) for name in stations(0.5, 5) if "offline" in name},
        **{name: Gauge(50) for name in stations(0.5, 5) if "_online" in name},
        f'enchufe_stations{{{LABELS},status="available"}}': Gauge(100),
    }


def neighbours(value: float) -> State:
    """What cAdvisor tells besides: the pod's own total, its pause container, other pods. None of it
    may move a figure."""
    around = {}
    for labels in (
        'namespace="city",pod="enchufe-0",container=""',
        'namespace="city",pod="enchufe-0",container="POD"',
        'namespace="city",pod="database-0",container="postgres"',
    ):
        around |= {
            f"container_cpu_usage_seconds_total{{{labels}}}": Counter(value),
            f"container_cpu_cfs_periods_total{{{labels}}}": Counter(10),
            f"container_cpu_cfs_throttled_periods_total{{{labels}}}": Counter(value),
            f"container_memory_working_set_bytes{{{labels}}}": Gauge(value * 1e9),
        }
    return around


def cpu(which: str, *, usage: float, limit: float, request: float, throttled: float) -> State:
    if which == "service":
        return {
            f"enchufe_cgroup_cpu_usage_seconds_total{{{LABELS}}}": Counter(usage),
            f"enchufe_cgroup_cpu_limit_cores{{{LABELS}}}": Gauge(limit),
            f"enchufe_cgroup_cpu_periods_total{{{LABELS}}}": Counter(10),
            f"enchufe_cgroup_cpu_throttled_periods_total{{{LABELS}}}": Counter(10 * throttled),
            f'enchufe_build_info{{{LABELS},version="1",commit="c"}}': Gauge(1),
        }
    state = {
        # On two processors: the container's usage is their sum.
        f'container_cpu_usage_seconds_total{{{KUBE},cpu="cpu00"}}': Counter(usage / 4),
        f'container_cpu_usage_seconds_total{{{KUBE},cpu="cpu01"}}': Counter(usage * 3 / 4),
        f"container_cpu_cfs_periods_total{{{KUBE}}}": Counter(10),
        f"container_cpu_cfs_throttled_periods_total{{{KUBE}}}": Counter(10 * throttled),
        f'kube_pod_container_resource_requests{{{KUBE},resource="cpu",unit="core"}}': Gauge(request),
        # kube-state-metrics runs twice.
        f'kube_pod_container_resource_limits{{{KUBE},resource="cpu",unit="core",instance="ksm-0"}}': Gauge(
            limit
        ),
        f'kube_pod_container_resource_limits{{{KUBE},resource="cpu",unit="core",instance="ksm-1"}}': Gauge(
            limit
        ),
        f'kube_pod_container_resource_limits{{{KUBE},resource="memory",unit="byte"}}': Gauge(1e9),
        **neighbours(7),
    }
    if limit == 0:
        state = {name: it for name, it in state.items() if "limits" not in name}
    return state


def memory(which: str, *, used: float, limit: float, request: float) -> State:
    if which == "service":
        return {
            f"enchufe_cgroup_memory_working_set_bytes{{{LABELS}}}": Gauge(used),
            f"enchufe_cgroup_memory_limit_bytes{{{LABELS}}}": Gauge(limit),
            f'enchufe_build_info{{{LABELS},version="1",commit="c"}}': Gauge(1),
        }
    return {
        f"container_memory_working_set_bytes{{{KUBE}}}": Gauge(used),
        # With the page cache, which may fill whatever is left.
        f"container_memory_usage_bytes{{{KUBE}}}": Gauge(limit or 1e12),
        f'kube_pod_container_resource_limits{{{KUBE},resource="memory",unit="byte"}}': Gauge(limit),
        f'kube_pod_container_resource_requests{{{KUBE},resource="memory",unit="byte"}}': Gauge(request),
        f'kube_pod_container_resource_limits{{{KUBE},resource="cpu",unit="core"}}': Gauge(0.5),
        **neighbours(7),
    }


# As settings.toml has them.
REQUESTED_CORES, REQUESTED_BYTES = 0.25, 134217728
KUBE_LABELS = {"namespace": "city", "pod": "enchufe-0", "container": "enchufe"}


def cpu_above_request(which: str, main: float, _also, _quiet) -> State:
    # Without a limit: it must not matter.
    return cpu(which, usage=main * REQUESTED_CORES, limit=0, request=REQUESTED_CORES, throttled=0)


def cpu_at_limit(which: str, main: float, also: float, _quiet) -> State:
    return cpu(which, usage=main * 0.5, limit=0.5, request=4, throttled=also)


def memory_above_request(which: str, main: float, _also, _quiet) -> State:
    return memory(which, used=main * REQUESTED_BYTES, limit=0, request=REQUESTED_BYTES)


def memory_at_limit(which: str, main: float, _also, _quiet) -> State:
    return memory(which, used=main * 2e8, limit=2e8, request=1e9)


def restarts(which: str, main: float, _also, _quiet) -> State:
    # A neighbour without a limit restarts all the time.
    if which == "service":
        return {f"app_starts_total{{{LABELS}}}": Gauge(40 + main)}
    return {
        f"kube_pod_container_status_restarts_total{{{KUBE}}}": Gauge(40 + main),
        'kube_pod_container_status_restarts_total{namespace="city",pod="database-0",container="postgres"}': Counter(
            1
        ),
    }


def commands(share: float, in_15_minutes: float) -> State:
    name = f'enchufe_commands_total{{{LABELS},command="reset",outcome="%s"}}'
    rate = in_15_minutes / 900
    return {
        name % "timed_out": Counter(rate * share / 2),
        name % "lost": Counter(rate * share / 2),
        # The charger's decision, no failure.
        name % "rejected": Counter(rate * (1 - share)),
    }


def messages(share: float, per_second: float) -> State:
    name = f'enchufe_ocpp_messages_total{{{LABELS},version="1.6",action="Heartbeat",direction="received",outcome="%s"}}'
    return {
        name % "answered": Counter(per_second * (1 - share)),
        name % "malformed": Counter(per_second * share),
    }


def cache(share: float, per_second: float) -> State:
    name = f'enchufe_cache_requests_total{{{LABELS},cache="station",result="%s"}}'
    return {
        name % "hit": Counter(per_second * (1 - share)),
        name % "error": Counter(per_second * share),
    }


def pool(share: float, _quiet) -> State:
    return {
        f'enchufe_db_pool_connections{{{LABELS},state="in_use"}}': Gauge(share * 50),
        f'enchufe_db_pool_connections{{{LABELS},state="idle"}}': Gauge(0),
        f"enchufe_db_pool_connections_max{{{LABELS}}}": Gauge(50),
    }


def room(share: float, _quiet) -> State:
    return {
        f"enchufe_ocpp_connections{{{LABELS}}}": Gauge(share * 1000),
        f"enchufe_ocpp_connections_max{{{LABELS}}}": Gauge(1000),
    }


MODEL = {**PLACE, "model": "m1"}


def analyses(share: float, in_15_minutes: float) -> State:
    name = f'enchufe_llm_requests_total{{{LABELS},model="m1",outcome="%s"}}'
    rate = in_15_minutes / 900
    return {name % "ok": Counter(rate * (1 - share)), name % "timed_out": Counter(rate * share)}


def not_asked(in_15_minutes: float) -> State:
    """What the server did not ask the model: no failure of the model."""
    name = f'enchufe_llm_requests_total{{{LABELS},model="m1",outcome="%s"}}'
    reasons = ("busy", "over_budget", "resting")
    return {name % reason: Counter(in_15_minutes / 900) for reason in reasons}


def model_slow(seconds: float, in_15_minutes: float) -> State:
    bucket = f'gen_ai_client_operation_duration_seconds_bucket{{{LABELS},model="m1",operation="chat",error_type="",le="%s"}}'
    part = (seconds - 10) / 10
    below = (0.9 - part) / (1 - part)
    rate = in_15_minutes / 900
    return {
        **analyses(0, in_15_minutes),
        bucket % "10.0": Counter(rate * below),
        bucket % "20.0": Counter(rate),
        bucket % "+Inf": Counter(rate),
    }


def tokens(a_day: float, _quiet) -> State:
    name = f'gen_ai_client_token_usage_sum{{{LABELS},model="m1",token_type="%s"}}'
    return {name % "input": Counter(a_day / DAY / 4), name % "output": Counter(a_day / DAY * 3 / 4)}


UP = f"up{{{LABELS}}}"
PROBE = 'job="enchufe-healthz",namespace="city",environment="test",instance="http://enchufe:8081/healthz"'
PROBED = {**PLACE, "instance": "http://enchufe:8081/healthz"}
TLS = 'job="enchufe-tls",namespace="city",environment="test",instance="https://charge.example"'
CERTIFIED = {**PLACE, "instance": "https://charge.example"}
# promtool's clock begins at 0.
EXPIRY = f"probe_ssl_earliest_cert_expiry{{{TLS}}}"


def nothing(_which: str) -> State:
    return {}


def gauge(name: str):
    return same(lambda value, _quiet: {name: Gauge(value)})


CASES = [
    Case(
        "EnchufeDown",
        # Two instances, both away. Were one there, the service would be.
        same(
            lambda up, _quiet: {
                UP: Gauge(0),
                UP.replace("enchufe-0", "enchufe-1"): Gauge(up),
                'up{job="enchufe-healthz",namespace="city",environment="test"}': Gauge(1),
            }
        ),
        fires_after=MINUTE,
        labels=PLACE,
        says="No instance of Enchufe has answered a scrape of its metrics for 1m.",
        good=lambda _: {UP: Gauge(1), UP.replace("enchufe-0", "enchufe-1"): Gauge(1)},
    ),
    Case(
        "EnchufeAbsent",
        same(lambda missing, _quiet: {} if missing else {UP: Gauge(1)}),
        fires_after=2 * MINUTE,
        labels={"job": "enchufe"},
        says="Prometheus knows no target of Enchufe: it is not deployed, or its scrape configuration is gone. No other alert can fire.",
        good=lambda _: {UP: Gauge(0)},
        fires_when_missing=True,
    ),
    Case(
        "EnchufeInstanceDown",
        same(lambda up, _quiet: {UP: Gauge(up), UP.replace("enchufe-0", "enchufe-1"): Gauge(1)}),
        fires_after=5 * MINUTE,
        labels=POD,
        says="The instance enchufe-0 has not answered a scrape of its metrics for 5m.",
        good=lambda _: {UP: Gauge(1)},
    ),
    Case(
        "EnchufeHealthzFailing",
        gauge(f"probe_success{{{PROBE}}}"),
        fires_after=2 * MINUTE,
        labels=PROBED,
        says="http://enchufe:8081/healthz has not answered with 200 for 2m: the service is starting, stopping, or without its database.",
        good=lambda _: {f"probe_success{{{PROBE}}}": Gauge(1)},
    ),
    Case(
        "EnchufeHealthzProbeMissing",
        same(lambda missing, _quiet: {} if missing else {f"probe_success{{{PROBE}}}": Gauge(0)}),
        fires_after=10 * MINUTE,
        labels={"job": "enchufe-healthz"},
        says="The probe of /healthz has reported nothing for 10m: the blackbox exporter is down or not configured.",
        good=lambda _: {f"probe_success{{{PROBE}}}": Gauge(1)},
        fires_when_missing=True,
    ),
    Case(
        "EnchufeRestarting",
        restarts,
        fires_after=MINUTE,
        labels=POD,
        kubernetes_labels=KUBE_LABELS,
        says="enchufe-0 has restarted 3 times within 15m.",
        over=3,
        under=2,
        before=5 * MINUTE,
        good=lambda which: restarts(which, 0, None, None),
        after=16 * MINUTE,
    ),
    Case(
        "EnchufeCertificateExpiring",
        # By the time it fires, an hour later, the value is an hour less.
        gauge(EXPIRY),
        over=21 * DAY - 1,
        under=21 * DAY + 4 * HOUR + 60,
        fires_after=HOUR,
        after=3 * HOUR,
        step=60,
        labels=CERTIFIED,
        says="The certificate of https://charge.example expires in 20d 22h 59m 59s; its renewal is due at 21 days.",
        good=lambda _: {EXPIRY: Gauge(90 * DAY)},
    ),
    Case(
        "EnchufeCertificateExpiresSoon",
        gauge(EXPIRY),
        over=3 * DAY - 1,
        under=3 * DAY + HOUR,
        fires_after=15 * MINUTE,
        step=60,
        labels=CERTIFIED,
        says="The certificate of https://charge.example expires in 2d 23h 44m 59s. After that neither people nor chargers can connect.",
        good=lambda _: {EXPIRY: Gauge(90 * DAY)},
    ),
    Case(
        "EnchufeLatencyHigh",
        same(slow),
        fires_after=reaching(5 * MINUTE, 0.2, 0.21, 15) + 5 * MINUTE,
        labels=PLACE,
        says="One request in ten took longer than 3.05s over the last 5m; the bound is 3 s.",
        good=lambda _: slow(2.1, 1),
    ),
    Case(
        "EnchufeClientErrorsHigh",
        answered(404),
        fires_after=reaching(5 * MINUTE, 0.2, 0.21, 15) + 10 * MINUTE,
        labels=PLACE,
        says="10.5% of the requests were refused (4xx) over the last 5m; the bound is 10%.",
        good=lambda which: answered(404)(which, 0, None, 1),
    ),
    Case(
        "EnchufeServerErrorsHigh",
        answered(503),
        fires_after=reaching(5 * MINUTE, 0.2, 0.21, 15) + 5 * MINUTE,
        labels=PLACE,
        says="5.25% of the requests ended in a server error (5xx) over the last 5m; the bound is 5%.",
        good=lambda which: answered(503)(which, 0, None, 1),
    ),
    Case(
        "EnchufeCpuAboveRequest",
        cpu_above_request,
        fires_after=20 * MINUTE,
        labels=POD,
        kubernetes_labels=KUBE_LABELS,
        says="enchufe-0 has used 101% of the CPU requested for it, over the last 5m. When the machine is busy it will get less.",
        good=lambda which: cpu_above_request(which, 0.1, None, None),
    ),
    Case(
        "EnchufeCpuAtLimit",
        cpu_at_limit,
        fires_after=10 * MINUTE,
        labels=POD,
        kubernetes_labels=KUBE_LABELS,
        says="enchufe-0 has used 91% of its CPU limit over the last 5m and is being throttled; the bound is 90%.",
        good=lambda which: cpu_at_limit(which, 0.1, 0, None),
        also_alone=lambda which, also: [(cpu_at_limit(which, 0.99, also, None), 30 * MINUTE)],
    ),
    Case(
        "EnchufeMemoryAboveRequest",
        memory_above_request,
        fires_after=15 * MINUTE,
        labels=POD,
        kubernetes_labels=KUBE_LABELS,
        says="enchufe-0 holds 101% of the memory requested for it. When the machine runs short it is among the first to be ended.",
        good=lambda which: memory_above_request(which, 0.1, None, None),
    ),
    Case(
        "EnchufeMemoryAtLimit",
        memory_at_limit,
        fires_after=5 * MINUTE,
        labels=POD,
        kubernetes_labels=KUBE_LABELS,
        says="enchufe-0 holds 91% of its memory limit; the bound is 90%. At the limit the kernel ends it.",
        good=lambda which: memory_at_limit(which, 0.1, None, None),
    ),
    Case(
        "EnchufeStationsOfflineSurge",
        same(stations),
        fires_after=5 * MINUTE,
        labels=PLACE,
        says="21% of the stations that were online went offline within 1h; the bound is 20%.",
        before=5 * MINUTE,
        good=stations_good,
    ),
    Case(
        "EnchufeConnectorFaulted",
        gauge(f"enchufe_connector_longest_fault_seconds{{{LABELS}}}"),
        fires_after=5 * MINUTE,
        labels=PLACE,
        says="At least one connector has been faulted for 1h 0m 30s; the bound is 60 min.",
        good=lambda _: {f"enchufe_connector_longest_fault_seconds{{{LABELS}}}": Gauge(0)},
    ),
    Case(
        "EnchufeCommandsFailing",
        same(commands),
        fires_after=reaching(15 * MINUTE, 5, 5.5, 15) + 5 * MINUTE,
        labels=PLACE,
        says="21% of the commands of the last 15m failed, timed out or were lost; the bound is 20%. What a charger rejects is not counted.",
        good=lambda _: commands(0, 9),
        after=20 * MINUTE,
    ),
    Case(
        "EnchufeOcppErrorsHigh",
        same(messages),
        fires_after=reaching(10 * MINUTE, 0.1, 0.105, 15) + 10 * MINUTE,
        labels=PLACE,
        says="5.25% of the OCPP messages of the last 10m ended in an error, without an answer, or could not be read; the bound is 5%.",
        good=lambda _: messages(0, 1),
    ),
    Case(
        "EnchufeDatabasePoolSaturated",
        same(pool),
        fires_after=5 * MINUTE,
        labels=POD,
        says="enchufe-0 uses 91% of its database connections; the bound is 90%. Requests wait for a free one.",
        good=lambda _: pool(0.1, None),
    ),
    Case(
        "EnchufeChargerRoomScarce",
        same(room),
        fires_after=10 * MINUTE,
        labels=POD,
        says="enchufe-0 holds 91% of the chargers that it has room for; the bound is 90%. When it is full, further ones are refused.",
        good=lambda _: room(0.5, None),
    ),
    Case(
        "EnchufeCommitQueueFull",
        gauge(f"enchufe_db_queue_depth{{{LABELS}}}"),
        fires_after=2 * MINUTE,
        labels=POD,
        says="2.056k writes wait for a commit in enchufe-0; the bound is 2,048 writes. When 4,096 wait, further ones are refused.",
        good=lambda _: {f"enchufe_db_queue_depth{{{LABELS}}}": Gauge(0)},
    ),
    Case(
        "EnchufeCacheDown",
        same(cache),
        fires_after=10 * MINUTE,
        labels=PLACE,
        says="52.5% of the reads from the cache failed over the last 5m; the bound is 50%. The service goes on with the database alone.",
        good=lambda _: cache(0, 1),
    ),
    Case(
        "EnchufeModelErrorsHigh",
        same(analyses),
        fires_after=reaching(15 * MINUTE, 5, 5.5, 15) + 5 * MINUTE,
        labels=MODEL,
        says="21% of the requests to m1 failed over the last 15m; the bound is 20%.",
        good=lambda _: {**analyses(0, 90), **not_asked(900)},
    ),
    Case(
        "EnchufeModelSlow",
        same(model_slow),
        fires_after=reaching(15 * MINUTE, 5, 5.5, 15) + 5 * MINUTE,
        labels=MODEL,
        says="One answer in ten of m1 took longer than 15.5s over the last 15m; the bound is 15 s.",
        good=lambda _: model_slow(11, 900),
    ),
    Case(
        "EnchufeModelTokensHigh",
        same(tokens),
        fires_after=reaching(DAY, 800_000, 805_000, 60) + 5 * MINUTE,
        step=60,
        labels=MODEL,
        says="m1 has used 803.3k tokens within 1d; the bound is 800,000 tokens. At the budget of a day (llm_tokens_per_day) the server stops asking it.",
        good=lambda _: tokens(0, None),
        after=HOUR,
    ),
    Case(
        "Watchdog",
        same(lambda _value, _quiet: {UP: Gauge(1)}),
        fires_after=MINUTE,
        labels={},
        says="This alert always fires. Whoever stops hearing it knows that Prometheus or Alertmanager is down.",
        good=nothing,
        fires_when_missing=True,
        always=True,
    ),
]


def served(share: float, per_second: float) -> State:
    """Requests of which a share fails."""
    return answered(500)("", share, None, per_second)


def late(share: float, per_second: float) -> State:
    """Requests of which a share takes longer than half a second."""
    labels = f'{LABELS},method="GET",endpoint="/api/v1/stations"'
    return {
        http(200): Counter(per_second),
        f'http_request_duration_seconds_bucket{{{labels},le="0.5"}}': Counter(per_second * (1 - share)),
        f'http_request_duration_seconds_bucket{{{labels},le="+Inf"}}': Counter(per_second),
        f"http_request_duration_seconds_count{{{labels}}}": Counter(per_second),
        **PROBES,
    }


def burning(name: str, what: str, state, window: str, text: str, long, short, hold, after, step) -> Case:
    def short_alone(which: str, also: float) -> list[tuple[State, float]]:
        # Long bad enough for the long window, then just good enough for the short one.
        return [(state(min(1.0, also * 3), 1), long - short), (state(also, 1), short)]

    def long_alone(which: str, main: float) -> list[tuple[State, float]]:
        # Bad of late, and good before, so that on the whole it is just good enough.
        earlier = main * (long - 1.5 * short) / (long - short)
        return [(state(earlier, 1), long - short), (state(main * 1.5, 1), short)]

    return Case(
        f"{name}/{window}",
        lambda _which, main, _also, quiet: state(main, quiet),
        fires_after=reaching(long, 0.05, 0.0525, step) + hold,
        labels=PLACE,
        says=text.replace("<what>", what),
        good=lambda _: state(0, 1),
        after=after,
        step=step,
        also_alone=short_alone,
        main_alone=long_alone,
    )


for _name, _what, _state, _texts in (
    (
        "EnchufeAvailabilityBudgetBurning",
        "ended in a server error",
        served,
        ("1.476%", "1.44%", "0.615%", "0.6%", "0.3075%", "0.3%", "0.1025%", "0.1%"),
    ),
    (
        "EnchufeLatencyBudgetBurning",
        "took longer than 0.5 s",
        late,
        ("14.76%", "14.4%", "6.15%", "6%", "3.075%", "3%", "1.025%", "1%"),
    ),
):
    for _number, (_window, _days, _long, _short, _hold, _after, _step) in enumerate(
        (
            ("1h", "2.1", HOUR, 5 * MINUTE, 2 * MINUTE, 10 * MINUTE, 60),
            ("6h", "5", 6 * HOUR, 30 * MINUTE, 15 * MINUTE, HOUR, 60),
            ("1d", "10", DAY, 2 * HOUR, HOUR, 3 * HOUR, 300),
            ("3d", "30", 3 * DAY, 6 * HOUR, 3 * HOUR, 7 * HOUR, 300),
        )
    ):
        _value, _bound = _texts[2 * _number : 2 * _number + 2]
        CASES.append(
            burning(
                _name,
                _what,
                _state,
                _window,
                f"{_value} of the requests <what> over the last {_window}; at more than {_bound} "
                f"the budget of 30 days is gone in {_days} days.",
                _long,
                _short,
                _hold,
                _after,
                _step,
            )
        )
