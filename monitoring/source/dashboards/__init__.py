"""The dashboards: one module each, from the panels in `panels.py`."""

from __future__ import annotations

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from source.dashboards import container, model, network, objectives, service


def dashboards(settings: dict) -> dict[str, str]:
    """The text of each dashboard, by its file name."""
    boards = (service, network, container, model, objectives)
    encoder = JSONEncoder(sort_keys=True, indent=1)
    return {
        f"{module.__name__.rsplit('.', 1)[-1]}.json": encoder.encode(module.dashboard(settings).build())
        + "\n"
        for module in boards
    }
