"""Measure encoders of the open head on held-out people, and ship the best with its card."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models import registry
from models.cards import Figure
from models.head import load_head
from models.head.reader import METHODS, HeadReader
from models.mesh_evaluation import Seen, look, measure
from models.smirk_open.encoder import OpenEncoder
from models.smirk_open.reader import OpenReader
from models.training.data import read_faces, split
from models.training.ship import CLIPS, CONGRESS, LONDON, MEDIAPIPE, SFHQ, WARPED, WEBMORPH, figure, ship

log = logging.getLogger(__name__)

MEASURED = 120
"""About so many held-out faces of each set are measured for the card."""
SETS = (("faces256", "SFHQ-T2I, London and look-only photos"), ("congress160", "portraits"))
NAMES = ("reprojected_median", "ratio", "expression_corr", "mirror_corr")
LIMITS = (
    "Learned from another network's answers, without a scan or a second view: depth is a guess. Faces turned over 35 "
    "degrees, strongly covered or lit from one side are read less well; puffed cheeks, nose wrinkles and the tongue "
    "are hardly seen."
)
PLAIN = " What ships was trained without SMIRK's neural-synthesis stage: with it, it was no better."
"""Of the limits, where that stage was tried and lost."""
WITH = "with"
"""Name of the row that was trained with it."""


@dataclass(frozen=True, eq=False)
class AblationRow:
    """One encoder to compare: as begun, or after more steps with or without neural synthesis."""

    name: str
    steps: int
    network: OpenEncoder


def ship_encoder(rows: Sequence[AblationRow], *, data: Path, recipe: str) -> dict[str, float]:
    """Round each to half precision, measure, and ship the one whose coefficients follow the teacher's best."""
    rounded = {row.name: halved(row.network) for row in rows}
    seen = {part: faces_of(data / part) for part, _ in SETS if (data / part / "labels.npz").is_file()}
    figures: dict[str, Figure] = {}
    judged: dict[str, float] = {}
    first = next(iter(seen))
    readers = {name: reader_of(network) for name, network in rounded.items()}
    for row in rows:
        found = measure(seen[first], readers[row.name], method="encoder")
        judged[row.name] = float(found["expression_corr"])
        told = f"{len(seen[first])} pictures of people never trained on ({first}); {row.steps} more steps"
        if len(rows) > 1:
            figures |= {
                f"ablation {row.name} {name}": figure(float(found[name]), told, recipe.rsplit("; ", 1)[-1])
                for name in NAMES
            }
    best = max(judged, key=lambda name: judged[name])
    log.info("ships: %s of %s", best, judged)
    is_first = best == rows[0].name
    for part, words in SETS:
        for method in METHODS if part in seen else ():
            measured = measure(seen[part], readers[best], method=method)
            told = f"{len(seen[part])} pictures of people never trained on ({words}); method {method}"
            command = f"mien evaluate mesh --faces DATA/{part} --people held-out --method {method}"
            for name in NAMES:
                figures[f"{part} {method} {name}"] = figure(float(measured[name]), told, command)
    ship(
        rounded[best],
        "smirk_open",
        title="The open head's pose, identity and expression",
        what="Reads pose, camera, 40 identity and 52 expression coefficients of the open head off one face crop.",
        training_data=(SFHQ, LONDON, WEBMORPH, CONGRESS, CLIPS, WARPED, MEDIAPIPE),
        recipe=recipe.split("; ", 1)[0] if is_first else recipe,
        figures=figures,
        limits=LIMITS + (PLAIN if len(rows) > 1 and best != WITH else ""),
    )
    return {name: value.value for name, value in figures.items()}


def faces_of(folder: Path) -> list[Seen]:
    """Some held-out faces of a set, found anew."""
    held = split(read_faces(folder))[1]
    some = held.rows(np.arange(len(held)) % max(len(held) // MEASURED, 1) == 0)
    return look(some, registry.load("faces"))


def halved(network: OpenEncoder) -> OpenEncoder:
    """A copy rounded to half precision and back: what a file of it will say."""
    config = {key: value for key, value in dict(network.config).items() if not key.startswith("_")}
    rounded = OpenEncoder(**config)
    rounded.load_state_dict({name: value.half().float() if value.is_floating_point() else value
                             for name, value in network.cpu().state_dict().items()})  # fmt: skip
    return rounded


def reader_of(network: OpenEncoder) -> HeadReader:
    """The door for people around an encoder."""
    head = load_head()
    encoder = OpenReader(network, head, backend="smirk_open", device=torch.device("cpu"), dtype=torch.float32)
    return HeadReader(head, encoder, actions=registry.load("head").actions)
