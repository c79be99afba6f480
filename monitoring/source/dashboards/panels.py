"""The few kinds of panel the dashboards are made of. Each asks for what a reader needs: a title, a
sentence that says what is to be seen, a unit, and the values at which to worry."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heatmap_model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from source.rules import filled

# What each panel's placeholders stand for: all of it follows the variables above the dashboard.
PLACE = 'namespace=~"$namespace", environment=~"$environment"'
WORDS = {
    "service": f'job=~"$app", {PLACE}, pod=~"$pod"',
    # What is one and the same in the eyes of every instance.
    "network": f'job=~"$app", {PLACE}',
    "healthz": f'job=~"($app)-healthz", {PLACE}',
    "tls": f'job=~"($app)-tls", {PLACE}',
    "place": PLACE,
    # Who measures containers knows no environment.
    "container": 'namespace=~"$namespace", pod=~"$pod"',
    "requests": f'job=~"$app", {PLACE}, pod=~"$pod", endpoint!~"/health|/healthz"',
}

DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")

GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"


@dataclass(frozen=True)
class Query:
    expression: str
    legend: str = ""


def steps(worry: float | None = None, act: float | None = None, *, low_is_bad: bool = False):
    """Green, yellow from `worry` on, red from `act` on; without either, nothing to worry about."""
    if worry is None and act is None:
        found = [model.Threshold(value=None, color=BLUE)]
    elif low_is_bad:
        found = [model.Threshold(value=None, color=RED if act is not None else YELLOW)]
        if act is not None and worry is not None:
            found.append(model.Threshold(value=act, color=YELLOW))
        found.append(model.Threshold(value=worry if worry is not None else act, color=GREEN))
    else:
        found = [model.Threshold(value=None, color=GREEN)]
        if worry is not None:
            found.append(model.Threshold(value=worry, color=YELLOW))
        if act is not None:
            found.append(model.Threshold(value=act, color=RED))
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(found)


NEUTRAL = steps()


def _query(query: Query, letter: str, *, instant: bool, form: PromQueryFormat):
    built = (
        prometheus.Dataquery()
        .datasource(DATASOURCE)
        .ref_id(letter)
        .expr(filled(query.expression, WORDS))
        .legend_format(query.legend)
        .format(form)
    )
    return built.instant() if instant else built.range()


def _filled_in(
    panel,
    title,
    description,
    unit,
    thresholds,
    queries,
    width,
    height,
    *,
    instant=False,
    form=PromQueryFormat.TIME_SERIES,
):
    panel = (
        panel.title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .thresholds(thresholds)
        .span(width)
        .height(height)
    )
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        panel = panel.with_target(_query(query, letter, instant=instant, form=form))
    return panel


def over_time(
    title,
    description,
    unit,
    *queries,
    thresholds=NEUTRAL,
    width=12,
    height=8,
    stacked=False,
    top=None,
    floor=0.0,
):
    """Lines over time; with thresholds, drawn as dashed lines."""
    worrying = len(thresholds.build().steps) > 1
    style = (
        common_model.GraphTresholdsStyleMode.DASHED if worrying else common_model.GraphTresholdsStyleMode.OFF
    )
    panel = (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(30 if stacked else 8)
        .show_points(common_model.VisibilityMode.NEVER)
        .span_nulls(False)
        .min(floor)
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
        .thresholds_style(common.GraphThresholdsStyleConfig().mode(style))
        .stacking(
            common.StackingConfig().mode(
                common_model.StackingMode.NORMAL if stacked else common_model.StackingMode.NONE
            )
        )
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(common_model.LegendDisplayMode.LIST)
            .placement(common_model.LegendPlacement.BOTTOM)
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_model.TooltipDisplayMode.MULTI)
            .sort(common_model.SortOrder.DESCENDING)
        )
    )
    if top is not None:
        panel = panel.max(top)
    return _filled_in(panel, title, description, unit, thresholds, queries, width, height)


def number(
    title,
    description,
    unit,
    *queries,
    thresholds=NEUTRAL,
    width=4,
    height=4,
    name=False,
    words=None,
    decimals=None,
):
    """One value, now. `name` shows the legend instead; `words` says values in words."""
    panel = (
        stat.Panel()
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_mode(common_model.BigValueColorMode.VALUE)
        .graph_mode(common_model.BigValueGraphMode.NONE)
        .text_mode(common_model.BigValueTextMode.NAME if name else common_model.BigValueTextMode.VALUE)
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    if words:
        panel = panel.mappings(
            [
                model.ValueMap(
                    options={
                        value: model.ValueMappingResult(text=text, color=color)
                        for value, (text, color) in words.items()
                    }
                )
            ]
        )
    return _filled_in(panel, title, description, unit, thresholds, queries, width, height, instant=True)


def bars(title, description, unit, *queries, thresholds=NEUTRAL, width=12, height=8):
    """Values beside each other, now."""
    panel = (
        bargauge.Panel()
        .orientation(common_model.VizOrientation.HORIZONTAL)
        .display_mode(common_model.BarGaugeDisplayMode.BASIC)
        .value_mode(common_model.BarGaugeValueMode.TEXT)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .min(0)
    )
    return _filled_in(panel, title, description, unit, thresholds, queries, width, height, instant=True)


def rows(title, description, unit, *queries, thresholds=NEUTRAL, width=12, height=8):
    """A table, now."""
    panel = (
        table.Panel()
        .show_header(True)
        .with_transformation(
            model.DataTransformerConfig(
                id_val="organize",
                options={"excludeByName": {"Time": True}, "renameByName": {"Value": "count"}},
            )
        )
    )
    return _filled_in(
        panel,
        title,
        description,
        unit,
        thresholds,
        queries,
        width,
        height,
        instant=True,
        form=PromQueryFormat.TABLE,
    )


def heat(title, description, unit, *queries, thresholds=NEUTRAL, width=12, height=8):
    """A histogram over time: the darker, the more."""
    panel = (
        heatmap.Panel()
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heatmap_model.HeatmapColorMode.SCHEME)
            .scheme("Oranges")
            .steps(64)
        )
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .cell_gap(1)
    )
    return _filled_in(
        panel, title, description, unit, thresholds, queries, width, height, form=PromQueryFormat.HEATMAP
    )


def board(name: str, title: str, description: str, sections) -> dashboard.Dashboard:
    """A dashboard: sections with a heading, panels from left to right."""
    built = (
        dashboard.Dashboard(f"Enchufe / {title}")
        .uid(f"enchufe-{name}")
        .description(description)
        .tags(["enchufe"])
        .readonly()
        .time("now-3h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .link(
            dashboard.DashboardLink("Enchufe")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags(["enchufe"])
            .include_vars(True)
            .keep_time(True)
        )
    )
    # From what every installation has, and narrowed from one to the next.
    for variable, label, of in (
        ("app", "job", "enchufe_build_info"),
        ("environment", "environment", 'enchufe_build_info{job=~"$app"}'),
        ("namespace", "namespace", 'enchufe_build_info{job=~"$app", environment=~"$environment"}'),
        (
            "pod",
            "pod",
            'enchufe_build_info{job=~"$app", environment=~"$environment", namespace=~"$namespace"}',
        ),
    ):
        asked = (
            dashboard.QueryVariable(variable)
            .label(variable.capitalize())
            .datasource(DATASOURCE)
            .query(f"label_values({of}, {label})")
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(model.VariableSort.ALPHABETICAL_ASC)
            .multi(True)
            .include_all(True)
            .current(model.VariableOption(selected=True, text="All", value="$__all"))
        )
        # All apps are those that are Enchufe, and not whatever else is scraped. A place may be
        # missing from the labels, and `.*` matches that too.
        built = built.with_variable(asked if variable == "app" else asked.all_value(".*"))
    number_of_panel = count(1)
    for heading, panels in sections:
        built = built.with_row(dashboard.Row(heading).id(next(number_of_panel)))
        for panel in panels:
            built = built.with_panel(panel.id(next(number_of_panel)))
    return built
