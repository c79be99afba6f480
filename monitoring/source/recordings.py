"""Recording rules: what is dear to compute, and what is measured differently on Kubernetes and
elsewhere, under one name."""

from source.alerts import BURNS, share
from source.rules import Recording

# Each window a burn-rate alert looks at.
WINDOWS = sorted(
    {window for burn in BURNS for window in burn[:2]}, key=["5m", "30m", "1h", "2h", "6h", "1d", "3d"].index
)


def ratios(settings: dict) -> list[Recording]:
    within = f"{settings['objectives']['latency_seconds']:g}"
    recordings = []
    for window in WINDOWS:
        whole = f"sum by (<by>) (rate(http_requests_total{{<requests>}}[{window}]))"
        failed = f'sum by (<by>) (rate(http_requests_total{{<requests>, http_status=~"5.."}}[{window}]))'
        timed = f"rate(http_request_duration_seconds_count{{<quick>}}[{window}])"
        quick = f'rate(http_request_duration_seconds_bucket{{<quick>, le="{within}"}}[{window}])'
        recordings += [
            Recording(f"enchufe:requests:rate{window}", whole),
            Recording(f"enchufe:availability_errors:ratio_rate{window}", share(failed, whole)),
            Recording(
                f"enchufe:latency_errors:ratio_rate{window}",
                f"1 - sum by (<by>) ({quick}) / sum by (<by>) ({timed})",
            ),
        ]
    return recordings


def budgets(settings: dict) -> list[Recording]:
    """What is left of 30 days' budget, from sums of what each step added: looking at 30 days of
    raw samples would take longer than a scrape."""
    wanted = settings["objectives"]
    within = f"{wanted['latency_seconds']:g}"
    step = "<budget_step>"
    whole = f"sum by (<by>) (increase(http_requests_total{{<requests>}}[{step}]))"
    failed = f'sum by (<by>) (increase(http_requests_total{{<requests>, http_status=~"5.."}}[{step}]))'
    timed = f"sum by (<by>) (increase(http_request_duration_seconds_count{{<quick>}}[{step}]))"
    quick = (
        f'sum by (<by>) (increase(http_request_duration_seconds_bucket{{<quick>, le="{within}"}}[{step}]))'
    )
    steps = [
        Recording("enchufe:requests:increase", whole),
        Recording("enchufe:availability_errors:increase", f"{failed}\nor\n0 * {whole}"),
        Recording("enchufe:timed_requests:increase", timed),
        Recording("enchufe:latency_errors:increase", f"{timed}\n-\n{quick}"),
    ]
    left = [
        Recording(
            f"enchufe:{objective}_budget:left30d",
            f"1 - sum_over_time(enchufe:{objective}_errors:increase[30d])\n"
            f"/ (sum_over_time(enchufe:{requests}:increase[30d]) > 0)\n"
            f"/ {1 - wanted[objective]:.6g}",
        )
        for objective, requests in (("availability", "requests"), ("latency", "timed_requests"))
    ]
    return steps + left


CONTAINERS = [
    # ---- On Kubernetes, cAdvisor and kube-state-metrics tell. cAdvisor has series for the pod and
    # its pause container too, which <container> leaves out; both may be scraped twice.
    Recording(
        "enchufe:container_cpu_usage:cores",
        "sum by (<container_by>) (rate(container_cpu_usage_seconds_total{<container>}[<window>]))",
        only="kubernetes",
    ),
    Recording(
        "enchufe:container_cpu_throttled:ratio",
        "sum by (<container_by>) (rate(container_cpu_cfs_throttled_periods_total{<container>}[<window>]))\n"
        "/ sum by (<container_by>) (rate(container_cpu_cfs_periods_total{<container>}[<window>]))",
        only="kubernetes",
    ),
    Recording(
        "enchufe:container_cpu_limit:cores",
        'max by (<container_by>) (kube_pod_container_resource_limits{<container>, resource="cpu"}) > 0',
        only="kubernetes",
    ),
    Recording(
        "enchufe:container_cpu_request:cores",
        'max by (<container_by>) (kube_pod_container_resource_requests{<container>, resource="cpu"}) > 0',
        only="kubernetes",
    ),
    # Not container_memory_usage_bytes, which counts the page cache.
    Recording(
        "enchufe:container_memory_working_set:bytes",
        "sum by (<container_by>) (container_memory_working_set_bytes{<container>})",
        only="kubernetes",
    ),
    Recording(
        "enchufe:container_memory_limit:bytes",
        'max by (<container_by>) (kube_pod_container_resource_limits{<container>, resource="memory"}) > 0',
        only="kubernetes",
    ),
    Recording(
        "enchufe:container_memory_request:bytes",
        'max by (<container_by>) (kube_pod_container_resource_requests{<container>, resource="memory"}) > 0',
        only="kubernetes",
    ),
    Recording(
        "enchufe:container_restarts:total",
        "max by (<container_by>) (kube_pod_container_status_restarts_total{<container>})",
        only="kubernetes",
    ),
    # ---- Elsewhere, the service reads its own cgroup.
    Recording(
        "enchufe:container_cpu_usage:cores",
        "sum by (<each>) (rate(enchufe_cgroup_cpu_usage_seconds_total{<service>}[<window>]))",
        only="service",
    ),
    Recording(
        "enchufe:container_cpu_throttled:ratio",
        "sum by (<each>) (rate(enchufe_cgroup_cpu_throttled_periods_total{<service>}[<window>]))\n"
        "/ sum by (<each>) (rate(enchufe_cgroup_cpu_periods_total{<service>}[<window>]))",
        only="service",
    ),
    Recording(
        "enchufe:container_cpu_limit:cores",
        "max by (<each>) (enchufe_cgroup_cpu_limit_cores{<service>}) > 0",
        only="service",
    ),
    Recording(
        "enchufe:container_cpu_request:cores",
        "<cpu_request> * max by (<each>) (enchufe_build_info{<service>})",
        only="service",
    ),
    Recording(
        "enchufe:container_memory_working_set:bytes",
        "max by (<each>) (enchufe_cgroup_memory_working_set_bytes{<service>})",
        only="service",
    ),
    Recording(
        "enchufe:container_memory_limit:bytes",
        "max by (<each>) (enchufe_cgroup_memory_limit_bytes{<service>}) > 0",
        only="service",
    ),
    Recording(
        "enchufe:container_memory_request:bytes",
        "<memory_request> * max by (<each>) (enchufe_build_info{<service>})",
        only="service",
    ),
    # Kept in the database, so it goes on rising over restarts.
    Recording(
        "enchufe:container_restarts:total",
        "max by (<each>) (app_starts_total{<service>})",
        only="service",
    ),
]
