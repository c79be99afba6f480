"""Every alert. `monitoring/settings.toml` can set each one's bounds; docs/runbooks.md has a section
for each name."""

from source.rules import Alert, Condition

# How `<word>`s of measures are filled in: source/words.py.

# A ratio says nothing about a handful of requests.
BUSY = Condition(
    "sum by (<by>) (rate(http_requests_total{<requests>}[<window>]))",
    ">=", 0.2, "requests per second", step=0.02,
)  # fmt: skip


def share(part: str, whole: str) -> str:
    """A part of a whole, 0 and not nothing where the part has never been."""
    return f"(\n  {part}\n  or\n  0 * {whole}\n)\n/\n{whole}"


def requests(status: str) -> str:
    return f'sum by (<by>) (rate(http_requests_total{{<requests>, http_status=~"{status}"}}[<window>]))'


ALL_REQUESTS = "sum by (<by>) (rate(http_requests_total{<requests>}[<window>]))"

REACHABLE = [
    Alert(
        "EnchufeDown",
        severity="critical",
        hold="1m",
        when=Condition("max by (<by>) (up{<service>})", "==", 0, "answers", step=1),
        summary="Enchufe is down",
        description="No instance of Enchufe has answered a scrape of its metrics for <hold>.",
        dashboard="service",
    ),
    Alert(
        "EnchufeAbsent",
        severity="critical",
        hold="2m",
        when=Condition("absent(up{<service>})", "==", 1, "targets missing", step=1),
        summary="Enchufe is not being watched",
        description="Prometheus knows no target of Enchufe: it is not deployed, or its scrape "
        "configuration is gone. No other alert can fire.",
        dashboard="service",
    ),
    Alert(
        "EnchufeInstanceDown",
        severity="high",
        hold="5m",
        when=Condition("min by (<each>) (up{<service>})", "==", 0, "answers", step=1),
        summary="An instance of Enchufe is down",
        description="The instance {{ $labels.pod }} has not answered a scrape of its metrics "
        "for <hold>.",
        dashboard="service",
    ),
    Alert(
        "EnchufeHealthzFailing",
        severity="critical",
        hold="2m",
        when=Condition(
            "min by (<by>, instance) (probe_success{<healthz>})", "==", 0, "answers", step=1
        ),
        summary="Enchufe is not ready",
        description="{{ $labels.instance }} has not answered with 200 for <hold>: the "
        "service is starting, stopping, or without its database.",
        dashboard="service",
    ),
    Alert(
        "EnchufeHealthzProbeMissing",
        severity="high",
        hold="10m",
        when=Condition("absent(probe_success{<healthz>})", "==", 1, "probes missing", step=1),
        summary="Nobody asks /healthz",
        description="The probe of /healthz has reported nothing for <hold>: the blackbox "
        "exporter is down or not configured.",
        dashboard="service",
    ),
    Alert(
        "EnchufeRestarting",
        severity="critical",
        hold="1m",
        when=Condition(
            """
            enchufe:container_restarts:total
            - min_over_time(enchufe:container_restarts:total[<window>])
            """,
            ">=", 3, "restarts", step=1,
        ),
        window="15m",
        summary="Enchufe restarts again and again",
        description="{{ $labels.pod }} has restarted {{ $value }} times within <window>.",
        dashboard="container",
    ),
    Alert(
        "EnchufeCertificateExpiring",
        severity="high",
        hold="1h",
        when=Condition(
            "min by (<by>, instance) (probe_ssl_earliest_cert_expiry{<tls>}) - time()",
            "<", 21 * 86400, "days", step=7200,
        ),
        summary="A certificate expires in less than three weeks",
        description="The certificate of {{ $labels.instance }} expires in "
        "{{ $value | humanizeDuration }}; its renewal is due at <limit>.",
        dashboard="service",
    ),
    Alert(
        "EnchufeCertificateExpiresSoon",
        severity="critical",
        hold="15m",
        when=Condition(
            "min by (<by>, instance) (probe_ssl_earliest_cert_expiry{<tls>}) - time()",
            "<", 3 * 86400, "days", step=3600,
        ),
        summary="A certificate is about to expire",
        description="The certificate of {{ $labels.instance }} expires in "
        "{{ $value | humanizeDuration }}. After that neither people nor chargers can connect.",
        dashboard="service",
    ),
]  # fmt: skip

ANSWERS = [
    Alert(
        "EnchufeLatencyHigh",
        severity="high",
        hold="5m",
        when=Condition(
            """
            histogram_quantile(0.9,
              sum by (<by>, le) (rate(http_request_duration_seconds_bucket{<quick>}[<window>]))
            )
            """,
            ">", 3, "seconds", step=0.1,
        ),
        unless_quiet=BUSY,
        summary="Enchufe answers slowly",
        description="One request in ten took longer than {{ $value | humanizeDuration }} over the "
        "last <window>; the bound is <limit>.",
        dashboard="service",
    ),
    Alert(
        "EnchufeClientErrorsHigh",
        severity="high",
        hold="10m",
        when=Condition(share(requests("4.."), ALL_REQUESTS), ">", 0.1, "ratio", step=0.01),
        unless_quiet=BUSY,
        summary="Many requests are refused",
        description="{{ $value | humanizePercentage }} of the requests were refused (4xx) over "
        "the last <window>; the bound is <limit>.",
        dashboard="service",
    ),
    Alert(
        "EnchufeServerErrorsHigh",
        severity="critical",
        hold="5m",
        when=Condition(share(requests("5.."), ALL_REQUESTS), ">", 0.05, "ratio", step=0.005),
        unless_quiet=BUSY,
        summary="Many requests fail",
        description="{{ $value | humanizePercentage }} of the requests ended in a server error "
        "(5xx) over the last <window>; the bound is <limit>.",
        dashboard="service",
    ),
]  # fmt: skip

# A budget for 30 days that is spent this many times too fast is gone after 2 days, 5, 10 and 30.
# A short window beside the long one lets the alert end soon after its cause.
BURNS = [
    ("1h", "5m", 14.4, "critical", "2m"),
    ("6h", "30m", 6, "critical", "15m"),
    ("1d", "2h", 3, "high", "1h"),
    ("3d", "6h", 1, "high", "3h"),
]


def burning(objective: str, share_allowed: float, name: str, what: str) -> list[Alert]:
    return [
        Alert(
            name,
            severity=severity,
            hold=hold,
            labels={"window": long},
            window=long,
            when=Condition(
                f"enchufe:{objective}_errors:ratio_rate{long}",
                ">", times * share_allowed, "ratio", step=times * share_allowed / 20,
            ),
            also=Condition(
                f"enchufe:{objective}_errors:ratio_rate{short}",
                ">", times * share_allowed, "ratio", step=times * share_allowed / 20,
            ),
            unless_quiet=Condition(
                f"enchufe:requests:rate{long}", ">=", 0.05, "requests per second", step=0.005
            ),
            summary=f"The {objective} budget is being spent {times:g} times too fast",
            description="{{ $value | humanizePercentage }} of the requests "
            f"{what} over the last {long}; at more than <limit> the budget of 30 days is gone in "
            f"{30 / times:.2g} days.",
            dashboard="objectives",
        )
        for long, short, times, severity, hold in BURNS
    ]  # fmt: skip


def objectives(settings: dict) -> list[Alert]:
    wanted = settings["objectives"]
    return [
        *burning(
            "availability",
            1 - wanted["availability"],
            "EnchufeAvailabilityBudgetBurning",
            "ended in a server error",
        ),
        *burning(
            "latency",
            1 - wanted["latency"],
            "EnchufeLatencyBudgetBurning",
            f"took longer than {wanted['latency_seconds']:g} s",
        ),
    ]


CONTAINER = [
    Alert(
        "EnchufeCpuAboveRequest",
        severity="high",
        hold="15m",
        when=Condition(
            "enchufe:container_cpu_usage:cores / enchufe:container_cpu_request:cores",
            ">", 1, "ratio", step=0.02,
        ),
        summary="Enchufe uses more CPU than it requests",
        description="{{ $labels.pod }} has used {{ $value | humanizePercentage }} of the CPU "
        "requested for it, over the last <recorded>. When the machine is busy it will get less.",
        dashboard="container",
    ),
    Alert(
        "EnchufeCpuAtLimit",
        severity="critical",
        hold="5m",
        # Usage never exceeds the limit: the kernel sees to that. What shows is usage just below
        # it, with periods in which the container had to wait.
        when=Condition(
            "enchufe:container_cpu_usage:cores / enchufe:container_cpu_limit:cores",
            ">=", 0.9, "ratio", step=0.02,
        ),
        also=Condition(
            "enchufe:container_cpu_throttled:ratio", ">=", 0.1, "ratio", step=0.01
        ),
        summary="Enchufe is throttled at its CPU limit",
        description="{{ $labels.pod }} has used {{ $value | humanizePercentage }} of its CPU "
        "limit over the last <recorded> and is being throttled; the bound is <limit>.",
        dashboard="container",
    ),
    Alert(
        "EnchufeMemoryAboveRequest",
        severity="high",
        hold="15m",
        when=Condition(
            "enchufe:container_memory_working_set:bytes / enchufe:container_memory_request:bytes",
            ">", 1, "ratio", step=0.02,
        ),
        summary="Enchufe uses more memory than it requests",
        description="{{ $labels.pod }} holds {{ $value | humanizePercentage }} of the memory "
        "requested for it. When the machine runs short it is among the first to be ended.",
        dashboard="container",
    ),
    Alert(
        "EnchufeMemoryAtLimit",
        severity="critical",
        hold="5m",
        when=Condition(
            "enchufe:container_memory_working_set:bytes / enchufe:container_memory_limit:bytes",
            ">=", 0.9, "ratio", step=0.02,
        ),
        summary="Enchufe is close to its memory limit",
        description="{{ $labels.pod }} holds {{ $value | humanizePercentage }} of its memory "
        "limit; the bound is <limit>. At the limit the kernel ends it.",
        dashboard="container",
    ),
]  # fmt: skip

OFFLINE = 'max by (<by>) (enchufe_stations{<service>, status="offline"})'
# The number of stations is one and the same in the eyes of every instance: not a sum.
LOST = f"""{OFFLINE}
- min by (<by>) (min_over_time(enchufe_stations{{<service>, status="offline"}}[<window>]))"""
ONLINE = "max by (<by>) (enchufe_stations_online{<service>})"

COMMANDS = "sum by (<by>) (increase(enchufe_commands_total{<service>}[<window>]))"
MESSAGES = "sum by (<by>) (rate(enchufe_ocpp_messages_total{<service>}[<window>]))"

NETWORK = [
    Alert(
        "EnchufeStationsOfflineSurge",
        severity="critical",
        hold="5m",
        when=Condition(
            f"(\n{LOST}\n)\n/\n(\n{LOST}\n+ {ONLINE}\n)", ">=", 0.2, "ratio", step=0.02
        ),
        unless_quiet=Condition(LOST, ">=", 5, "stations", step=1),
        window="1h",
        summary="Many stations went offline",
        description="{{ $value | humanizePercentage }} of the stations that were online went "
        "offline within <window>; the bound is <limit>.",
        dashboard="network",
    ),
    Alert(
        "EnchufeConnectorFaulted",
        severity="high",
        hold="5m",
        when=Condition(
            "max by (<by>) (enchufe_connector_longest_fault_seconds{<service>})",
            ">", 3600, "seconds", step=60,
        ),
        summary="A connector has been out of order for long",
        description="At least one connector has been faulted for {{ $value | humanizeDuration }}; "
        "the bound is <limit>.",
        dashboard="network",
    ),
    Alert(
        "EnchufeCommandsFailing",
        severity="high",
        hold="5m",
        when=Condition(
            share(
                COMMANDS.replace("{<service>}", '{<service>, outcome=~"failed|timed_out|lost"}'),
                COMMANDS,
            ),
            ">", 0.2, "ratio", step=0.02,
        ),
        unless_quiet=Condition(COMMANDS, ">=", 5, "commands", step=1),
        window="15m",
        summary="Commands to chargers fail",
        description="{{ $value | humanizePercentage }} of the commands of the last <window> "
        "failed, timed out or were lost; the bound is <limit>. What a charger rejects is not "
        "counted.",
        dashboard="network",
    ),
    Alert(
        "EnchufeOcppErrorsHigh",
        severity="high",
        hold="10m",
        when=Condition(
            share(
                MESSAGES.replace("{<service>}", '{<service>, outcome!="answered"}'), MESSAGES
            ),
            ">", 0.05, "ratio", step=0.005,
        ),
        unless_quiet=Condition(MESSAGES, ">=", 0.1, "messages per second", step=0.01),
        window="10m",
        summary="Many OCPP messages fail",
        description="{{ $value | humanizePercentage }} of the OCPP messages of the last <window> "
        "ended in an error, without an answer, or could not be read; the bound is <limit>.",
        dashboard="network",
    ),
]  # fmt: skip

CACHE = "sum by (<by>) (rate(enchufe_cache_requests_total{<service>}[<window>]))"

DEPENDENCIES = [
    Alert(
        "EnchufeDatabasePoolSaturated",
        severity="high",
        hold="5m",
        when=Condition(
            """
            max by (<each>) (enchufe_db_pool_connections{<service>, state="in_use"})
            / max by (<each>) (enchufe_db_pool_connections_max{<service>})
            """,
            ">=", 0.9, "ratio", step=0.02,
        ),
        summary="The database connections run out",
        description="{{ $labels.pod }} uses {{ $value | humanizePercentage }} of its database "
        "connections; the bound is <limit>. Requests wait for a free one.",
        dashboard="service",
    ),
    Alert(
        "EnchufeChargerRoomScarce",
        severity="high",
        hold="10m",
        when=Condition(
            """
            max by (<each>) (enchufe_ocpp_connections{<service>})
            / max by (<each>) (enchufe_ocpp_connections_max{<service>})
            """,
            ">=", 0.9, "ratio", step=0.02,
        ),
        summary="The room for chargers runs out",
        description="{{ $labels.pod }} holds {{ $value | humanizePercentage }} of the chargers "
        "that it has room for; the bound is <limit>. When it is full, further ones are refused.",
        dashboard="service",
    ),
    Alert(
        "EnchufeCommitQueueFull",
        severity="critical",
        hold="2m",
        when=Condition(
            "max by (<each>) (enchufe_db_queue_depth{<service>})", ">=", 2048, "writes", step=16
        ),
        summary="Writes wait for the database",
        description="{{ $value | humanize }} writes wait for a commit in {{ $labels.pod }}; the "
        "bound is <limit>. When 4,096 wait, further ones are refused.",
        dashboard="service",
    ),
    Alert(
        "EnchufeCacheDown",
        severity="high",
        hold="5m",
        when=Condition(
            share(CACHE.replace("{<service>}", '{<service>, result="error"}'), CACHE),
            ">", 0.5, "ratio", step=0.05,
        ),
        unless_quiet=Condition(CACHE, ">=", 0.05, "reads per second", step=0.005),
        summary="The shared cache does not answer",
        description="{{ $value | humanizePercentage }} of the reads from the cache failed over "
        "the last <window>; the bound is <limit>. The service goes on with the database alone.",
        dashboard="service",
    ),
]  # fmt: skip

ANALYSES = "sum by (<by>, model) (increase(enchufe_llm_requests_total{<service>}[<window>]))"

# The model had no part in what the server itself did not ask it.
ASKED = ANALYSES.replace(
    "{<service>}", '{<service>, outcome!~"busy|over_budget|resting"}'
)
FAILED = ANALYSES.replace(
    "{<service>}", '{<service>, outcome!~"ok|busy|over_budget|resting"}'
)

# What the server is set to unless it is told otherwise: docs/configuration.md.
LLM_TIMEOUT_SECONDS = 20
LLM_TOKENS_PER_DAY = 1_000_000

MODEL = [
    Alert(
        "EnchufeModelErrorsHigh",
        severity="high",
        hold="5m",
        when=Condition(
            share(FAILED, ASKED), ">", 0.2, "ratio", step=0.02,
        ),
        unless_quiet=Condition(ASKED, ">=", 5, "requests", step=1),
        window="15m",
        summary="The language model fails",
        description="{{ $value | humanizePercentage }} of the requests to {{ $labels.model }} "
        "failed over the last <window>; the bound is <limit>.",
        dashboard="model",
    ),
    Alert(
        "EnchufeModelSlow",
        severity="high",
        hold="5m",
        when=Condition(
            """
            histogram_quantile(0.9,
              sum by (<by>, model, le) (
                rate(gen_ai_client_operation_duration_seconds_bucket{<service>}[<window>])
              )
            )
            """,
            # Beyond the timeout no answer is waited for.
            ">", LLM_TIMEOUT_SECONDS * 3 // 4, "seconds", step=1,
        ),
        unless_quiet=Condition(ANALYSES, ">=", 5, "requests", step=1),
        window="15m",
        summary="The language model is slow",
        description="One answer in ten of {{ $labels.model }} took longer than "
        "{{ $value | humanizeDuration }} over the last <window>; the bound is <limit>.",
        dashboard="model",
    ),
    Alert(
        "EnchufeModelTokensHigh",
        severity="high",
        hold="5m",
        when=Condition(
            "sum by (<by>, model) (increase(gen_ai_client_token_usage_sum{<service>}[<window>]))",
            # At the budget itself the server stops.
            ">", LLM_TOKENS_PER_DAY * 8 // 10, "tokens", step=10_000,
        ),
        window="1d",
        summary="The language model's tokens run out",
        description="{{ $labels.model }} has used {{ $value | humanize }} tokens within <window>; "
        "the bound is <limit>. At the budget of a day (llm_tokens_per_day) the server stops "
        "asking it.",
        dashboard="model",
    ),
]  # fmt: skip

ALWAYS = [
    Alert(
        "Watchdog",
        severity="high",
        hold="1m",
        when=Condition("vector(1)", "==", 1, "", step=1),
        summary="Alerts are being sent",
        description="This alert always fires. Whoever stops hearing it knows that Prometheus or "
        "Alertmanager is down.",
        dashboard="service",
    ),
]
