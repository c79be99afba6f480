"""Calls, answers and what may run out."""

from source.dashboards.bounds import watched
from source.dashboards.panels import (
    GREEN,
    RED,
    Query,
    bars,
    board,
    heat,
    number,
    over_time,
    rows,
    steps,
)


def dashboard(settings: dict):
    return board(
        "service",
        "Service",
        "How the service answers: calls, errors, latency, and what is about to run out.",
        [
            ("At a glance", glance(settings)),
            ("Calls", calls()),
            ("Answers", answers(settings)),
            ("Saturation", saturation(settings)),
        ],
    )


def glance(settings: dict):
    return [
        number(
            "Instances", "Instances that answered the last scrape.", "short",
            Query("sum(up{<service>})"), thresholds=steps(1, low_is_bad=True, act=1), width=3,
        ),
        number(
            "/healthz", "Whether the service says it is ready, asked from outside.", "short",
            Query("min(probe_success{<healthz>})"),
            thresholds=steps(act=1, low_is_bad=True), width=3,
            words={"0": ("not ready", RED), "1": ("ready", GREEN)},
        ),
        number(
            "Version", "The build that runs.", "short",
            Query("max by (version) (enchufe_build_info{<service>})", "{{version}}"),
            name=True, width=3,
        ),
        number(
            "Up for", "Time since the youngest instance started.", "s",
            Query("time() - max(process_start_time_seconds{<service>})"),
            thresholds=steps(300, 60, low_is_bad=True), width=3,
        ),
        number(
            "Starts", "Starts since the database was made; kept over restarts.", "short",
            Query("max(app_starts_total{<service>})"), width=3,
        ),
        number(
            "Starts in this time", "Starts within the time shown. One is a deployment, many are a crash loop.",
            "short", Query("sum(increase(app_starts_total{<service>}[$__range]))"),
            thresholds=watched(settings, "EnchufeRestarting"), width=3, decimals=0,
        ),
        number(
            "Server errors", "Share of requests that ended in a 5xx, over the last 5 minutes.", "percentunit",
            Query(
                "(sum(rate(http_requests_total{<requests>, http_status=~\"5..\"}[5m])) or vector(0))"
                " / sum(rate(http_requests_total{<requests>}[5m]))"
            ),
            thresholds=watched(settings, "EnchufeServerErrorsHigh"), width=3, decimals=2,
        ),
        number(
            "p90", "Nine requests in ten are answered within this time, over the last 5 minutes.", "s",
            Query(
                "histogram_quantile(0.9, sum by (le) (rate(http_request_duration_seconds_bucket{<requests>}[5m])))"
            ),
            thresholds=watched(settings, "EnchufeLatencyHigh"), width=3,
        ),
    ]  # fmt: skip


def calls():
    endpoints = ("server", "main", "healthcheck", "bye", "riseload")
    return [
        bars(
            "Calls per endpoint in the last hour", "Requests answered within the last hour, by route.", "short",
            Query("sort_desc(sum by (endpoint) (increase(http_requests_total{<service>}[1h])))", "{{endpoint}}"),
        ),
        over_time(
            "Calls per endpoint", "Requests answered per second, by route.", "reqps",
            Query("sum by (endpoint) (rate(http_requests_total{<service>}[$__rate_interval]))", "{{endpoint}}"),
            stacked=True,
        ),
        bars(
            "Service endpoints in the last hour", "Requests to /, /health, /bye and /riseload, and their sum.", "short",
            *[
                Query(f"sum(increase({name}_requests_total{{<service>}}[1h]))", name)
                for name in endpoints
            ],
        ),
        over_time(
            "Calls by answer", "Requests per second, by the status they were answered with.", "reqps",
            Query("sum by (http_status) (rate(http_requests_total{<service>}[$__rate_interval]))", "{{http_status}}"),
            stacked=True,
        ),
    ]  # fmt: skip


def answers(settings: dict):
    def quantile(q: float) -> Query:
        return Query(
            f"histogram_quantile({q}, sum by (le) (rate(http_request_duration_seconds_bucket{{<requests>}}[$__rate_interval])))",
            f"p{q * 100:.0f}",
        )

    def share(status: str, legend: str) -> Query:
        return Query(
            f'(sum(rate(http_requests_total{{<requests>, http_status=~"{status}"}}[$__rate_interval])) or vector(0))'
            " / sum(rate(http_requests_total{<requests>}[$__rate_interval]))",
            legend,
        )

    return [
        over_time(
            "Latency", "Half, nine in ten and 99 in a hundred requests are answered within this time. Probes are not counted.",
            "s", quantile(0.5), quantile(0.9), quantile(0.99),
            thresholds=watched(settings, "EnchufeLatencyHigh"),
        ),
        heat(
            "Latency, all of it", "Requests per second by how long they took: the darker, the more.", "s",
            Query("sum by (le) (rate(http_request_duration_seconds_bucket{<requests>}[$__rate_interval]))", "{{le}}"),
        ),
        over_time(
            "Server errors", "Share of requests that ended in a 5xx.", "percentunit", share("5..", "5xx"),
            thresholds=watched(settings, "EnchufeServerErrorsHigh"),
        ),
        over_time(
            "Refused requests", "Share of requests that were refused with a 4xx.", "percentunit", share("4..", "4xx"),
            thresholds=watched(settings, "EnchufeClientErrorsHigh"),
        ),
        rows(
            "Top errors", "The ten most frequent errors of the time shown.", "short",
            Query(
                "topk(10, sum by (method, endpoint, http_status)"
                ' (increase(http_requests_total{<service>, http_status=~"[45].."}[$__range])))'
            ),
            thresholds=steps(10, 100), width=24,
        ),
    ]  # fmt: skip


def saturation(settings: dict):
    return [
        over_time(
            "Database connections", "Connections for reading: in use, idle, and how many there may be.", "short",
            Query('sum by (state) (enchufe_db_pool_connections{<service>})', "{{state}}"),
            Query("sum(enchufe_db_pool_connections_max{<service>})", "at most"),
            width=8,
        ),
        over_time(
            "Writes waiting", "Writes that wait for a commit; when 4,096 wait, further ones are refused.", "short",
            Query("sum by (pod) (enchufe_db_queue_depth{<service>})", "{{pod}}"),
            thresholds=watched(settings, "EnchufeCommitQueueFull"), width=8,
        ),
        over_time(
            "Time of a commit", "Half and 99 in a hundred commits take no longer than this.", "s",
            *[
                Query(
                    f"histogram_quantile({q}, sum by (le) (rate(enchufe_db_commit_duration_seconds_bucket{{<service>}}[$__rate_interval])))",
                    name,
                )
                for q, name in ((0.5, "p50"), (0.99, "p99"))
            ],
            thresholds=steps(0.1, 0.5), width=8,
        ),
        over_time(
            "Writes that share a commit", "The mean: near 1 when there is little to do, more under load.", "short",
            Query(
                "sum(rate(enchufe_db_commit_batch_size_sum{<service>}[$__rate_interval]))"
                " / sum(rate(enchufe_db_commit_batch_size_count{<service>}[$__rate_interval]))",
                "writes",
            ),
            width=8,
        ),
        over_time(
            "Cache", "Reads from the cache per second, by what they gave. Errors mean that Redis is away.", "reqps",
            Query("sum by (result) (rate(enchufe_cache_requests_total{<service>}[$__rate_interval]))", "{{result}}"),
            stacked=True, width=8,
        ),
        over_time(
            "Room for chargers", "Share of the places for chargers that are taken, and of the file descriptors, of which each connection is one.", "percentunit",
            Query("max by (pod) (enchufe_ocpp_connections{<service>} / enchufe_ocpp_connections_max{<service>})", "{{pod}}"),
            Query("max by (pod) (process_open_fds{<service>} / process_max_fds{<service>})", "{{pod}} files"),
            thresholds=watched(settings, "EnchufeChargerRoomScarce"), top=1, width=8,
        ),
        over_time(
            "Answer to the probe", "How long /healthz took, seen from outside.", "s",
            Query("max by (instance) (probe_duration_seconds{<healthz>})", "{{instance}}"),
            thresholds=steps(1, 3),
        ),
        over_time(
            "Certificate", "Time until the certificate expires.", "s",
            Query("min by (instance) (probe_ssl_earliest_cert_expiry{<tls>}) - time()", "{{instance}}"),
            thresholds=steps(21 * 86400, 3 * 86400, low_is_bad=True),
        ),
    ]  # fmt: skip
