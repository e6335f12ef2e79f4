"""Charts of the Team tab as Plotly figures under the house's template."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import plotly.graph_objects as go

from studio.services.plots import MIEN

Figure = dict[str, Any]
FIRST, SECOND, THIRD = "#1A9C8F", "#8A8F98", "#9A7B4F"
"""Tuned, untouched, in use; told apart by their signs as well."""
GROUPS = {
    "accuracy": "All",
    "strong": "Strongly agreed",
    "one_class": "One class",
    "two_class": "Two classes",
    "three_class": "Three classes",
}
STEPS = ((24 * 3, 1, "hour"), (24 * 120, 24, "day"))
"""Up to so many hours are shown in steps of so many; longer projects by the week."""


def throughput(hours: Sequence[tuple[int, int]]) -> Figure | None:
    """Return answers over time in bars of an hour, a day or a week; None without any."""
    if not hours:
        return None
    span = hours[-1][0] - hours[0][0] + 1
    step, name = next(((step, name) for longest, step, name in STEPS if span <= longest), (24 * 7, "week"))
    counts: dict[int, int] = {}
    for hour, count in hours:
        counts[hour // step] = counts.get(hour // step, 0) + count
    places = range(min(counts), max(counts) + 1)
    times = [datetime.fromtimestamp(place * step * 3600, UTC) for place in places]
    figure = _figure(height=212)
    figure.add_bar(
        x=[time.strftime("%Y-%m-%dT%H:%M") for time in times],
        y=[counts.get(place, 0) for place in places],
        width=step * 3_600_000 * 0.86,
        marker={"color": FIRST, "line": {"width": 0}},
        hovertemplate="%{y:,} answers<extra></extra>",
    )
    figure.update_yaxes(rangemode="tozero", nticks=4, tickformat=",d")
    figure.update_layout(margin={"l": 52, "r": 12, "t": 8, "b": 48})
    return _plain(figure) | {"step": name}


def accuracies(metrics: dict[str, Any]) -> Figure | None:
    """Return accuracy on kept-out faces, all and by kind, with the wider of two 95 % intervals; None without any."""
    series = [("base", "untouched", SECOND, "circle"), ("in_use", "in use before", THIRD, "square"),
              ("tuned", "this one", FIRST, "diamond")]  # fmt: skip
    figure = _figure(height=300)
    shown = [one for one in series if one[0] in metrics and metrics[one[0]]["accuracy"]["triplets"]]
    if not shown:
        return None
    if metrics.get("in_use", {}).get("accuracy") == metrics["base"]["accuracy"]:
        shown = [one for one in shown if one[0] != "in_use"]
    names = [name for name in GROUPS if metrics[shown[-1][0]].get(name, {}).get("triplets")]
    for place, (key, words, colour, sign) in enumerate(shown):
        told = [metrics[key][name] for name in names]
        bounds = [interval(one) for one in told]
        figure.add_scatter(
            x=[one["value"] for one in told],
            y=[row + 0.16 * (place - (len(shown) - 1) / 2) for row in range(len(names))],
            name=words,
            mode="markers",
            marker={"color": colour, "symbol": sign, "size": 10},
            error_x={
                "type": "data",
                "array": [high - one["value"] for one, (_, high) in zip(told, bounds, strict=True)],
                "arrayminus": [one["value"] - low for one, (low, _) in zip(told, bounds, strict=True)],
                "color": colour,
                "thickness": 1.5,
                "width": 0,
            },
            customdata=[[GROUPS[name], one["triplets"], *bound] for name, one, bound in
                        zip(names, told, bounds, strict=True)],
            hovertemplate="%{customdata[0]}, " + words + ": %{x:.1%} (%{customdata[2]:.1%} to %{customdata[3]:.1%}, "
            "%{customdata[1]} questions)<extra></extra>",
        )  # fmt: skip
    _mark(figure, 1 / 3, "guessing")
    ceiling = (metrics.get("ceiling") or {}).get("mean")
    if ceiling:
        _mark(figure, ceiling, "one person")
    lowest = min([1 / 3, *(interval(metrics[key][name])[0] for key, *_ in shown for name in names)])
    figure.update_xaxes(tickformat=".0%", nticks=6, range=[max(lowest - 0.04, -0.01), 1.02])
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=[GROUPS[name] for name in names], autorange="reversed",
        zeroline=False, showgrid=False,
    )  # fmt: skip
    figure.update_layout(
        hovermode="closest", showlegend=True, margin={"l": 112, "r": 16, "t": 40, "b": 36},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "itemclick": False},
    )  # fmt: skip
    return _plain(figure)


def calibration(metrics: dict[str, Any]) -> Figure | None:
    """Return how right a model is where it is how sure; on the diagonal it is as right as it says."""
    told = (metrics.get("tuned") or metrics.get("base") or {}).get("calibration")
    if not told:
        return None
    figure = _figure(height=300)
    figure.add_scatter(
        x=[0.3, 1], y=[0.3, 1], mode="lines", hoverinfo="skip", line={"color": SECOND, "width": 1, "dash": "dot"}
    )
    largest = max(one["triplets"] for one in told)
    figure.add_scatter(
        x=[one["sure"] for one in told],
        y=[one["right"] for one in told],
        mode="lines+markers",
        line={"color": FIRST, "width": 1.5},
        marker={"color": FIRST, "size": [6 + 12 * (one["triplets"] / largest) ** 0.5 for one in told]},
        customdata=[one["triplets"] for one in told],
        hovertemplate="sure %{x:.0%}, right %{y:.0%}, %{customdata} questions<extra></extra>",
    )
    figure.update_xaxes(title=_words("how sure the model is"), tickformat=".0%", range=[0.3, 1.02], nticks=5)
    figure.update_yaxes(title=_words("share of people who agree"), tickformat=".0%", range=[0, 1.02], nticks=5)
    figure.update_layout(hovermode="closest", margin={"l": 76, "r": 16, "t": 8, "b": 52})
    return _plain(figure)


def learning(metrics: dict[str, Any]) -> Figure | None:
    """Return accuracy on kept-out faces over the number of answers learned from, with 95 % intervals."""
    points = metrics.get("learning") or []
    if len(points) < 2:
        return None
    answers = [one["answers"] for one in points]
    bounds = [interval(one) for one in points]
    figure = _figure(height=300)
    figure.add_scatter(
        x=[*answers, *reversed(answers)],
        y=[*(low for low, _ in bounds), *(high for _, high in reversed(bounds))],
        mode="lines",
        fill="toself",
        fillcolor="rgba(26,156,143,0.14)",
        line={"width": 0},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=answers,
        y=[one["value"] for one in points],
        mode="lines+markers",
        line={"color": FIRST, "width": 2},
        marker={"color": FIRST, "size": 8},
        customdata=[[*bound, one["head"] or "none"] for bound, one in zip(bounds, points, strict=True)],
        hovertemplate="%{x:,} answers: %{y:.1%} (%{customdata[0]:.1%} to %{customdata[1]:.1%}), head: %{customdata[2]}"
        "<extra></extra>",
    )
    figure.update_xaxes(title=_words("answers learned from"), tickformat=",d", nticks=6, rangemode="tozero")
    figure.update_yaxes(title=_words("accuracy on kept-out faces"), tickformat=".0%", nticks=5)
    figure.update_layout(hovermode="closest", margin={"l": 76, "r": 16, "t": 8, "b": 52})
    return _plain(figure)


def interval(told: dict[str, Any]) -> tuple[float, float]:
    """Return the wider of the two 95 % intervals of an accuracy."""
    wilson, clustered = told["wilson"], told["clustered"]
    low, high = clustered if clustered[1] - clustered[0] >= wilson[1] - wilson[0] else wilson
    return float(low), float(high)


def _mark(figure: go.Figure, value: float, words: str) -> None:
    figure.add_vline(x=value, line_width=1, line_dash="dot", line_color=SECOND)
    figure.add_annotation(x=value, y=0, yref="paper", yanchor="bottom", xanchor="left", xshift=3, text=words,
                          showarrow=False, font={"size": 11})  # fmt: skip


def _words(text: str) -> dict[str, Any]:
    return {"text": text, "font": {"size": 13}, "standoff": 8}


def _figure(*, height: int) -> go.Figure:
    return go.Figure(layout={"template": MIEN, "height": height})


def _plain(figure: go.Figure) -> Figure:
    plain: Figure = json.loads(figure.to_json())
    return plain
