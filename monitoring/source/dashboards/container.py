"""What the container uses, of what it requested and what it may have at most.

The recorded names are the same on Kubernetes and elsewhere; source/recordings.py has both ways to
measure them."""

from source.dashboards.bounds import watched
from source.dashboards.panels import Query, board, number, over_time, steps

EACH = "{{pod}} {{container}}"


def of(part: str, whole: str) -> str:
    return f"enchufe:container_{part}{{<container>}} / enchufe:container_{whole}{{<container>}}"


def dashboard(settings: dict):
    return board(
        "container",
        "Container",
        "CPU and memory against what was requested and what is allowed, throttling, restarts.",
        [
            ("CPU", cpu(settings)),
            ("Memory", memory(settings)),
            ("Process", process(settings)),
        ],
    )


def cpu(settings: dict):
    return [
        over_time(
            "CPU", "Cores used, requested and allowed. Usage never passes the limit: the kernel sees to that.", "short",
            Query("enchufe:container_cpu_usage:cores{<container>}", f"used {EACH}"),
            Query("enchufe:container_cpu_request:cores{<container>}", f"requested {EACH}"),
            Query("enchufe:container_cpu_limit:cores{<container>}", f"limit {EACH}"),
        ),
        over_time(
            "CPU, of the limit", "Share of the CPU limit in use.", "percentunit",
            Query(of("cpu_usage:cores", "cpu_limit:cores"), EACH),
            thresholds=watched(settings, "EnchufeCpuAtLimit"), top=1,
        ),
        over_time(
            "CPU, of the request", "Share of the requested CPU in use.", "percentunit",
            Query(of("cpu_usage:cores", "cpu_request:cores"), EACH),
            thresholds=watched(settings, "EnchufeCpuAboveRequest"),
        ),
        over_time(
            "Throttling", "Share of the scheduler's periods in which the container had to wait because its limit was used up.",
            "percentunit", Query("enchufe:container_cpu_throttled:ratio{<container>}", EACH),
            thresholds=steps(0.05, 0.1), top=1,
        ),
    ]  # fmt: skip


def memory(settings: dict):
    return [
        over_time(
            "Memory", "The working set (without the page cache that can be given back), requested and allowed.", "bytes",
            Query("enchufe:container_memory_working_set:bytes{<container>}", f"used {EACH}"),
            Query("enchufe:container_memory_request:bytes{<container>}", f"requested {EACH}"),
            Query("enchufe:container_memory_limit:bytes{<container>}", f"limit {EACH}"),
        ),
        over_time(
            "Memory, of the limit", "Share of the memory limit in use. At the limit the kernel ends the process.", "percentunit",
            Query(of("memory_working_set:bytes", "memory_limit:bytes"), EACH),
            thresholds=watched(settings, "EnchufeMemoryAtLimit"), top=1,
        ),
        over_time(
            "Memory, of the request", "Share of the requested memory in use.", "percentunit",
            Query(of("memory_working_set:bytes", "memory_request:bytes"), EACH),
            thresholds=watched(settings, "EnchufeMemoryAboveRequest"), width=12,
        ),
        over_time(
            "Restarts", "Restarts of the container: how far the count has gone up within 15 minutes.", "short",
            Query(
                "enchufe:container_restarts:total{<container>}"
                " - min_over_time(enchufe:container_restarts:total{<container>}[15m])",
                EACH,
            ),
            thresholds=watched(settings, "EnchufeRestarting"), width=12,
        ),
    ]  # fmt: skip


def process(settings: dict):
    return [
        over_time(
            "CPU of the process", "Processor time per second, as the process itself counts it.", "short",
            Query("rate(process_cpu_seconds_total{<service>}[$__rate_interval])", "{{pod}}"), width=8,
        ),
        over_time(
            "Memory of the process", "Held in RAM, and addressed.", "bytes",
            Query("process_resident_memory_bytes{<service>}", "in RAM {{pod}}"),
            Query("process_virtual_memory_bytes{<service>}", "addressed {{pod}}"), width=8,
        ),
        over_time(
            "Threads", "Threads of the process. They do not grow with the load.", "short",
            Query("process_threads{<service>}", "{{pod}}"), thresholds=steps(100, 500), width=8,
        ),
        number(
            "Started", "When the process started.", "dateTimeAsIso",
            Query("max(process_start_time_seconds{<service>}) * 1000"), width=6,
        ),
        number(
            "CPU request assumed", "Elsewhere than on Kubernetes a cgroup does not know what was requested: settings.toml says.",
            "short", Query("max(enchufe:container_cpu_request:cores{<container>})"), width=6,
        ),
    ]  # fmt: skip
