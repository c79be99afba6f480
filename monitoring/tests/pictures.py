"""Pictures of the dashboards: each panel of the committed JSON, in its place, with what a live
Prometheus answers to its queries. Grafana draws them otherwise; the layout and the data are these."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

from tests.tools import HOME

WIDTH, COLUMN, ROW, GAP = 1200, 50, 26, 6
POINTS = 60
INK, DIM, PAPER, PANEL = "#d8d9da", "#8e8e8e", "#111217", "#181b1f"
NAMED = {"green": "#73bf69", "yellow": "#f2cc0c", "red": "#f2495c", "blue": "#5794f2"}
# One after the other, for the lines of a panel.
LINES = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#c0d8ff"]
MOST_LINES = len(LINES)


def draw(ask, fill_in, folder: Path, seconds: int) -> None:
    """Draws each dashboard over the last `seconds`; `fill_in` replaces an expression's variables."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted((HOME / "grafana/dashboards").glob("*.json")):
        picture = Picture(ask, fill_in, seconds)
        (folder / f"dashboard-{file.stem}.svg").write_text(picture.board(json.loads(file.read_text())))


def readable(value: float, unit: str) -> str:
    """The value as one reads it, in the units the dashboards use."""
    if unit == "percentunit":
        return f"{value * 100:.3g}%"
    if unit == "s":
        for size, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms")):
            if abs(value) >= size:
                return f"{value / size:.3g} {name}"
        return f"{value * 1e6:.3g} µs" if value else "0 s"
    if unit == "bytes":
        for size, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
            if abs(value) >= size:
                return f"{value / size:.3g} {name}"
    if unit == "currencyUSD":
        return f"${value:.2f}"
    if unit == "dateTimeAsIso":
        return "a moment ago"
    after = {"watth": " Wh", "reqps": "/s", "mps": "/s", "cps": "/s", "ops": "/s"}.get(unit, "")
    if abs(value) >= 10_000:
        return f"{value / 1000:.3g}k{after}"
    return f"{value:,.0f}{after}" if abs(value) >= 100 else f"{value:.3g}{after}"


def legend(template: str, labels: dict[str, str]) -> str:
    for name, value in labels.items():
        template = template.replace("{{" + name + "}}", value)
    # A label the series lacks is nothing.
    while "{{" in template:
        before, _, rest = template.partition("{{")
        template = before + rest.partition("}}")[2]
    return template.strip() or ", ".join(labels.values())


def finite(value: str) -> float | None:
    number = float(value)
    return number if number == number and abs(number) != float("inf") else None


class Picture:
    def __init__(self, ask, fill_in, seconds: int) -> None:
        self.ask, self.fill_in, self.seconds = ask, fill_in, seconds
        self.out: list[str] = []

    def board(self, board: dict) -> str:
        height = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in board["panels"]) * ROW + 70
        self.text(12, 28, board["title"], size=18)
        for panel in board["panels"]:
            self.panel(panel)
        self.text(
            12,
            height - 12,
            "Layout from the dashboard's JSON, values from a live Prometheus; Grafana draws it otherwise.",
            DIM,
            11,
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'font-family="Inter,Helvetica,Arial,sans-serif"><rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>\n'
            + "\n".join(self.out)
            + "\n</svg>\n"
        )

    # ---- One panel

    def panel(self, panel: dict) -> None:
        at = panel["gridPos"]
        x, y = at["x"] * COLUMN + GAP / 2, 44 + at["y"] * ROW
        width, height = at["w"] * COLUMN - GAP, at["h"] * ROW - GAP
        if panel["type"] == "row":
            self.text(x + 4, y + 17, panel["title"], size=13)
            return
        self.out.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width}" height="{height}" rx="3" fill="{PANEL}"/>'
        )
        self.text(x + 8, y + 17, panel["title"], size=12)
        shape = {
            "stat": self.number, "timeseries": self.lines, "bargauge": self.bars,
            "table": self.rows, "heatmap": self.heat,
        }[panel["type"]]  # fmt: skip
        if not shape(panel, x + 8, y + 24, width - 16, height - 32):
            self.text(x + width / 2, y + height / 2 + 6, "No data", DIM, 13, "middle")

    def color(self, panel: dict, value: float) -> str:
        found = DIM
        for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]:
            if step["value"] is None or value >= step["value"]:
                found = NAMED[step["color"]]
        return found

    def now(self, panel: dict) -> list[tuple[str, dict, float]]:
        found = []
        for target in panel["targets"]:
            for it in self.ask.now(self.fill_in(target["expr"])):
                if (value := finite(it["value"][1])) is not None:
                    found.append((legend(target["legendFormat"], it["metric"]), it["metric"], value))
        return found

    def over(self, panel: dict) -> list[tuple[str, list[tuple[float, float]]]]:
        found = []
        for target in panel["targets"]:
            for it in self.ask.over(
                self.fill_in(target["expr"]), self.seconds, max(1, self.seconds // POINTS)
            ):
                values = [(when, value) for when, text in it["values"] if (value := finite(text)) is not None]
                if values:
                    found.append((legend(target["legendFormat"], it["metric"]), values))
        return found

    def number(self, panel: dict, x: float, y: float, width: float, height: float) -> bool:
        found = self.now(panel)
        if not found:
            return False
        name, _, value = found[0]
        defaults = panel["fieldConfig"]["defaults"]
        text = readable(value, defaults["unit"])
        for mapping in defaults.get("mappings", []):
            text = mapping["options"].get(f"{value:g}", {}).get("text", text)
        if panel["options"]["textMode"] == "name":
            text = name
        self.text(x + width / 2, y + height / 2 + 8, text, self.color(panel, value), 22, "middle")
        return True

    def lines(self, panel: dict, x: float, y: float, width: float, height: float) -> bool:
        found = self.over(panel)
        if not found:
            return False
        defaults = panel["fieldConfig"]["defaults"]
        stacked = defaults["custom"]["stacking"]["mode"] == "normal"
        found.sort(key=lambda it: -sum(value for _, value in it[1]))
        drawn = found[:MOST_LINES]
        if stacked:
            drawn = self.stack(drawn)
        top = max(value for _, values in drawn for _, value in values)
        low = min(0.0, *(value for _, values in drawn for _, value in values))
        top = max(top * 1.1, defaults.get("max") or 0)
        top = top if top > low else low + 1
        left, y, height = x + 52, y + 8, height - 8
        plot = height - 24
        begin = min(values[0][0] for _, values in drawn)
        end = max(values[-1][0] for _, values in drawn)

        def place(when: float, value: float) -> str:
            across = (when - begin) / max(end - begin, 1) * (width - 56)
            return f"{left + across:.0f},{y + plot - (value - low) / (top - low) * plot:.0f}"

        for number in range(4):
            value = low + (top - low) * number / 3
            level = y + plot - plot * number / 3
            self.out.append(f'<path d="M{left:g} {level:.0f}h{width - 56:g}" stroke="#2c2f35"/>')
            self.text(left - 6, level + 4, readable(value, defaults["unit"]), DIM, 10, "end")
        for step in defaults["thresholds"]["steps"]:
            if step["value"] is not None and low <= step["value"] <= top:
                level = y + plot - (step["value"] - low) / (top - low) * plot
                self.out.append(
                    f'<path d="M{left:g} {level:.0f}h{width - 56:g}" stroke="{NAMED[step["color"]]}" stroke-dasharray="4 3"/>'
                )
        for number, (_, values) in reversed(list(enumerate(drawn))):
            path = " ".join(place(when, value) for when, value in values)
            shade = LINES[number]
            if stacked:
                foot = f"{place(values[-1][0], low)} {place(values[0][0], low)}"
                self.out.append(f'<polygon points="{path} {foot}" fill="{shade}" fill-opacity="0.35"/>')
            self.out.append(f'<polyline points="{path}" fill="none" stroke="{shade}"/>')
        names = [name for name, _ in found[:MOST_LINES]]
        self.legend(names, len(found) - len(names), x, y + height - 4, width)
        return True

    @staticmethod
    def stack(series):
        below: dict[float, float] = {}
        stacked = []
        for name, values in series:
            values = [(round(when), value + below.get(round(when), 0.0)) for when, value in values]
            below.update(values)
            stacked.append((name, values))
        return stacked

    def legend(self, names: list[str], more: int, x: float, y: float, width: float) -> None:
        at = x
        for number, name in enumerate(names):
            name = name if len(name) < 34 else name[:32] + "…"
            wide = 16 + 6 * len(name)
            if at + wide > x + width:
                more += len(names) - number
                break
            self.out.append(f'<rect x="{at:g}" y="{y - 7:g}" width="10" height="3" fill="{LINES[number]}"/>')
            self.text(at + 13, y - 2, name, DIM, 10)
            at += wide
        if more > 0 and at + 20 < x + width:
            self.text(at + 4, y - 2, f"+{more}", DIM, 10)

    def bars(self, panel: dict, x: float, y: float, width: float, height: float) -> bool:
        found = sorted(self.now(panel), key=lambda it: -it[2])[: int(height // 22)]
        if not found:
            return False
        top = max(value for _, _, value in found) or 1
        for number, (name, _, value) in enumerate(found):
            level = y + number * 22
            self.text(x, level + 14, name if len(name) < 36 else name[:34] + "…", DIM, 11)
            long = max(2, value / top * (width - 300))
            self.out.append(
                f'<rect x="{x + 225:g}" y="{level + 3:g}" width="{long:.0f}" height="14" fill="{self.color(panel, value)}"/>'
            )
            self.text(
                x + 231 + long, level + 14, readable(value, panel["fieldConfig"]["defaults"]["unit"]), INK, 11
            )
        return True

    def rows(self, panel: dict, x: float, y: float, width: float, height: float) -> bool:
        found = sorted(self.now(panel), key=lambda it: -it[2])[: int(height // 18) - 1]
        if not found:
            return False
        hidden = {"__name__", "alertstate", "job", "app", "instance"}
        columns = [name for name in found[0][1] if name not in hidden][:5]
        wide = width / (len(columns) + 1)
        for number, name in enumerate([*columns, "count"]):
            self.text(x + number * wide, y + 12, name, DIM, 11)
        for line, (_, labels, value) in enumerate(found):
            level = y + 30 + line * 18
            for number, name in enumerate(columns):
                self.text(x + number * wide, level, labels.get(name, "")[:34], INK, 11)
            self.text(x + len(columns) * wide, level, f"{value:.3g}", self.color(panel, value), 11)
        return True

    def heat(self, panel: dict, x: float, y: float, width: float, height: float) -> bool:
        found = self.over(panel)
        buckets = sorted(found, key=lambda it: float(it[0].replace("+Inf", "inf")))
        if not buckets:
            return False
        times = [round(when) for when, _ in buckets[-1][1]]
        table = [{round(when): value for when, value in values} for _, values in buckets]
        cells = [
            [max(0.0, row.get(when, 0) - (table[number - 1].get(when, 0) if number else 0)) for when in times]
            for number, row in enumerate(table)
        ]
        top = max(max(row) for row in cells) or 1
        tall, wide = height / len(cells), (width - 56) / len(times)
        for number, row in enumerate(cells):
            level = y + height - (number + 1) * tall
            self.text(x + 46, level + tall / 2 + 4, buckets[number][0], DIM, 10, "end")
            for column, value in enumerate(row):
                if value > 0:
                    strong = 0.15 + 0.85 * (value / top) ** 0.5
                    self.out.append(
                        f'<rect x="{x + 52 + column * wide:.0f}" y="{level:.0f}" width="{wide:.0f}" '
                        f'height="{tall - 1:.0f}" fill="#ff9830" fill-opacity="{strong:.2f}"/>'
                    )
        return True

    def text(
        self, x: float, y: float, words: str, color: str = INK, size: int = 12, anchor: str = "start"
    ) -> None:
        where = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self.out.append(
            f'<text x="{x:.0f}" y="{y:.0f}" fill="{color}" font-size="{size}"{where}>{escape(words)}</text>'
        )
