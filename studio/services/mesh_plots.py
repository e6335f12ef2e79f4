"""A clip's liveliest actions and the head's turning over time, as a Plotly figure."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import plotly.graph_objects as go

from models.faces.names import BLENDSHAPE_NAMES, PLAIN_NAMES
from studio.services.mesh_clip import MeshClip, coefficients
from studio.services.plots import ACTION_COLOURS, DASHES, MIEN, label_ends

MOST_LINES = 4


def mesh_timeline(clip: MeshClip) -> dict[str, Any]:
    """Return the figure; a click on it names a frame by its `customdata`."""
    times, values = coefficients(clip)
    places = [place for place, frame in enumerate(clip.frames) if frame.parameters is not None]
    figure = go.Figure(layout={"template": MIEN, "height": 340})
    if len(times):
        _add_actions(figure, times, values, places)
        _add_turning(figure, clip, times, places)
    figure.update_xaxes(range=[0, max(float(times[-1]) if len(times) else 1.0, 0.1)], ticksuffix=" s")
    figure.update_layout(
        xaxis={"anchor": "y2"},
        yaxis={"domain": [0.42, 1], "range": [-0.02, 1.04], "tickformat": ".1f", "nticks": 4},
        yaxis2={"domain": [0, 0.3], "ticksuffix": "°", "nticks": 4, "range": _turning_range(clip)},
    )
    plain: dict[str, Any] = json.loads(figure.to_json())
    return plain


def _add_actions(figure: go.Figure, times: np.ndarray, values: np.ndarray, places: list[int]) -> None:
    movement = np.percentile(values, 95, axis=0) - np.percentile(values, 5, axis=0)
    rows = [int(row) for row in np.argsort(-movement) if BLENDSHAPE_NAMES[row] != "_neutral"][:MOST_LINES]
    for number, row in enumerate(rows):
        figure.add_scatter(
            x=times, y=values[:, row], name=PLAIN_NAMES[BLENDSHAPE_NAMES[row]], customdata=places, mode="lines",
            line={"color": ACTION_COLOURS[number], "width": 2, "dash": DASHES[number]},
            hovertemplate=f"%{{y:.2f}} <i>({BLENDSHAPE_NAMES[row]})</i>",
        )  # fmt: skip
    ends = [(PLAIN_NAMES[BLENDSHAPE_NAMES[r]], float(values[-1, r]), ACTION_COLOURS[n]) for n, r in enumerate(rows)]
    label_ends(figure, ends, axis="y")


def _turning_range(clip: MeshClip) -> list[float]:
    yaws = [abs(frame.parameters.pose.yaw) for frame in clip.frames if frame.parameters is not None]
    reach = max(20.0, max(yaws, default=0.0) * 1.1)
    return [-reach, reach]


def _add_turning(figure: go.Figure, clip: MeshClip, times: np.ndarray, places: list[int]) -> None:
    yaws = [frame.parameters.pose.yaw for frame in clip.frames if frame.parameters is not None]
    figure.add_scatter(
        x=times, y=yaws, name="head turned", customdata=places, mode="lines", yaxis="y2",
        line={"color": "#8A8F98", "width": 2}, hovertemplate="%{y:.0f}°",
    )  # fmt: skip
    figure.add_annotation(
        x=1.0, xref="paper", y=yaws[-1], yref="y2", text='<span style="color:#8A8F98">▬</span> head turned',
        showarrow=False, xanchor="left", xshift=6,
    )  # fmt: skip
