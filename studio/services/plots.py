"""Charts as Plotly figures under one template; the page adds the ink of light or dark when it draws them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from models.faces.names import BLENDSHAPE_NAMES, PLAIN_NAMES
from models.types import EMOTIONS
from studio.palette import EMOTION_COLOURS, SYSTEM_FONT
from studio.services.timeline import ClipReading, Moment, actions_over_time, emotions_over_time

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "solid", "dash", "dot")
ACTION_COLOURS = ("#1A9C8F", "#9A7B4F", "#6F82D1", "#C06A97")
MOST_LINES = 4
LINE_HEIGHT = 0.11
"""Height of one line of a label, as a share of its axis."""

MIEN = go.layout.Template(
    layout=go.Layout(
        font={"family": ", ".join(SYSTEM_FONT), "size": 13},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 44, "r": 132, "t": 8, "b": 36},
        showlegend=False,
        hovermode="x unified",
        dragmode=False,
        xaxis={"showgrid": False, "zeroline": False, "ticks": "outside", "fixedrange": True},
        yaxis={"zeroline": True, "fixedrange": True, "gridwidth": 1},
        hoverlabel={"font": {"size": 13}},
        transition={"duration": 0},
    )
)
"""The template of all charts: no junk, direct labels, a zero line."""


def timeline(reading: ClipReading, moments: Sequence[Moment]) -> dict[str, Any]:
    """Return a clip's strongest emotions above its liveliest muscle actions, over time."""
    times, emotions = emotions_over_time(reading)
    _, actions = actions_over_time(reading)
    indices = [index for index, frame in enumerate(reading.frames) if frame.expression is not None]
    figure = go.Figure(layout={"template": MIEN, "height": 420})
    if len(times):
        _add_emotions(figure, times, emotions, indices)
        _add_actions(figure, times, actions, indices)
    end = float(times[-1]) if len(times) else 1.0
    figure.update_xaxes(range=[0, max(end, 0.1)], ticksuffix=" s")
    figure.update_layout(
        xaxis={"anchor": "y2"},
        yaxis={"domain": [0.56, 1], "range": [-0.02, 1.04], "tickformat": ".0%", "nticks": 4},
        yaxis2={"domain": [0, 0.44], "range": [-0.02, 1.04], "tickformat": ".1f", "nticks": 4},
    )
    for number, moment in enumerate(moments, start=1):
        figure.add_vline(x=moment.time_s, line_width=1, line_dash="dot", line_color="#8A8F98")
        figure.add_annotation(
            x=moment.time_s, y=1.0, yref="paper", text=str(number), showarrow=False, yanchor="bottom", yshift=-8
        )
    plain: dict[str, Any] = json.loads(figure.to_json())
    return plain


def _add_emotions(
    figure: go.Figure, times: NDArray[np.float64], values: NDArray[np.float64], indices: Sequence[int]
) -> None:
    strongest = set(np.argsort(-values.max(axis=0))[:MOST_LINES])
    shown = [name for name in EMOTION_COLOURS if EMOTIONS.index(name) in strongest]
    lines = [(name, values[:, EMOTIONS.index(name)]) for name in shown]
    for place, (name, line) in enumerate(lines):
        figure.add_scatter(
            x=times,
            y=line,
            name=name,
            customdata=list(indices),
            mode="lines",
            line={"color": EMOTION_COLOURS[name], "width": 2, "dash": DASHES[place]},
            hovertemplate="%{y:.0%}",
        )
    label_ends(figure, [(name, float(line[-1]), EMOTION_COLOURS[name]) for name, line in lines], axis="y")


def _add_actions(
    figure: go.Figure, times: NDArray[np.float64], values: NDArray[np.float64], indices: Sequence[int]
) -> None:
    movement = np.percentile(values, 95, axis=0) - np.percentile(values, 5, axis=0)
    liveliest = [int(index) for index in np.argsort(-movement) if BLENDSHAPE_NAMES[index] != "_neutral"][:MOST_LINES]
    for place, index in enumerate(liveliest):
        figure.add_scatter(
            x=times,
            y=values[:, index],
            name=PLAIN_NAMES[BLENDSHAPE_NAMES[index]],
            customdata=list(indices),
            mode="lines",
            yaxis="y2",
            line={"color": ACTION_COLOURS[place], "width": 2, "dash": DASHES[place]},
            hovertemplate=f"%{{y:.2f}} <i>({BLENDSHAPE_NAMES[index]})</i>",
        )
    ends = [
        (PLAIN_NAMES[BLENDSHAPE_NAMES[index]], float(values[-1, index]), ACTION_COLOURS[place])
        for place, index in enumerate(liveliest)
    ]
    label_ends(figure, ends, axis="y2")


def label_ends(figure: go.Figure, ends: Sequence[tuple[str, float, str]], *, axis: str) -> None:
    """Name each line of (name, last height in [0, 1], colour) where it ends, without overlaps."""
    lines = max((len(_halves(name)) for name, _, _ in ends), default=1)
    heights = spread([height for _, height, _ in ends], gap=LINE_HEIGHT * lines)
    for (name, _, colour), height in zip(ends, heights, strict=True):
        words = "<br>".join(_halves(name))
        figure.add_annotation(
            x=1.0,
            xref="paper",
            y=height,
            yref=axis,
            text=f'<span style="color:{colour}">▬</span> {words}',
            showarrow=False,
            xanchor="left",
            xshift=6,
            align="left",
        )


def _halves(name: str) -> list[str]:
    """Break a long name once, near its middle, so that it fits beside the chart."""
    words = name.split()
    if len(name) <= 17 or len(words) < 2:
        return [name]
    cuts = range(1, len(words))
    best = min(cuts, key=lambda cut: abs(len(" ".join(words[:cut])) - len(" ".join(words[cut:]))))
    return [" ".join(words[:best]), " ".join(words[best:])]


def spread(heights: Sequence[float], *, gap: float) -> list[float]:
    """Push heights in [0, 1] apart to at least `gap` with little movement, keeping their order."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    placed: dict[int, float] = {}
    floor = 0.0
    for index in order:
        placed[index] = max(heights[index], floor)
        floor = placed[index] + gap
    ceiling = 1.0
    for index in reversed(order):
        placed[index] = min(placed[index], ceiling)
        ceiling = placed[index] - gap
    return [placed[index] for index in range(len(heights))]
