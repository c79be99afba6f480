"""The language model that analyses journal entries: how it answers, and what it costs."""

from source.dashboards.bounds import watched
from source.dashboards.panels import Query, board, number, over_time, steps


def dashboard(settings: dict):
    return board(
        "model",
        "Model",
        "Requests to the language model, how they end, how long they take, tokens and cost.",
        [("Requests", requests(settings)), ("Tokens and cost", tokens(settings))],
    )


def requests(settings: dict):
    def quantile(q: float) -> Query:
        return Query(
            f"histogram_quantile({q}, sum by (le, model)"
            " (rate(gen_ai_client_operation_duration_seconds_bucket{<service>}[$__rate_interval])))",
            f"p{q * 100:.0f} {{{{model}}}}",
        )

    return [
        over_time(
            "Requests", "Requests to the model per second, by how they ended.", "reqps",
            Query(
                "sum by (model, outcome) (rate(enchufe_llm_requests_total{<service>}[$__rate_interval]))",
                "{{model}} {{outcome}}",
            ),
            stacked=True,
        ),
        over_time(
            "Failed requests", "Share of the requests that were not answered well, over 15 minutes.", "percentunit",
            Query(
                '(sum by (model) (increase(enchufe_llm_requests_total{<service>, outcome!="ok"}[15m]))'
                " or 0 * sum by (model) (increase(enchufe_llm_requests_total{<service>}[15m])))"
                " / sum by (model) (increase(enchufe_llm_requests_total{<service>}[15m]))",
                "{{model}}",
            ),
            thresholds=watched(settings, "EnchufeModelErrorsHigh"),
        ),
        over_time(
            "Time to an answer", "Half, nine in ten and 99 in a hundred operations end within this time.", "s",
            quantile(0.5), quantile(0.9), quantile(0.99), thresholds=watched(settings, "EnchufeModelSlow"),
        ),
        over_time(
            "Operations by error", "Operations per second, by what went wrong; without a name, nothing did.", "ops",
            Query(
                "sum by (operation, error_type) (rate(gen_ai_client_operation_duration_seconds_count{<service>}[$__rate_interval]))",
                "{{operation}} {{error_type}}",
            ),
            stacked=True,
        ),
    ]  # fmt: skip


def tokens(settings: dict):
    return [
        over_time(
            "Tokens by type", "Tokens per second, read and written.", "short",
            Query(
                "sum by (model, token_type) (rate(gen_ai_client_token_usage_sum{<service>}[$__rate_interval]))",
                "{{model}} {{token_type}}",
            ),
            stacked=True,
        ),
        over_time(
            "Tokens of a request", "Nine requests in ten use no more than this, by type.", "short",
            Query(
                "histogram_quantile(0.9, sum by (le, token_type) (rate(gen_ai_client_token_usage_bucket{<service>}[$__rate_interval])))",
                "{{token_type}}",
            ),
        ),
        number(
            "Tokens of a day", "Tokens of the last 24 hours, all models.", "short",
            Query("sum(increase(gen_ai_client_token_usage_sum{<service>}[1d]))"),
            thresholds=watched(settings, "EnchufeModelTokensHigh"), width=6,
        ),
        number(
            "Cost of a day", "Cost of the last 24 hours, all models.", "currencyUSD",
            Query("sum(increase(enchufe_llm_cost_dollars_total{<service>}[1d]))"),
            thresholds=steps(5, 20), width=6, decimals=2,
        ),
        over_time(
            "Cost", "Cost per hour, by model.", "currencyUSD",
            Query(
                "sum by (model) (rate(enchufe_llm_cost_dollars_total{<service>}[$__rate_interval])) * 3600",
                "{{model}}",
            ),
            thresholds=steps(0.5, 2),
        ),
    ]  # fmt: skip
