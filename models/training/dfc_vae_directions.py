"""Recipe of the latent space's sliders: directions fitted to labels, calibrated on what they do to decoded pictures.

Expressions are fitted to differences between pictures of one person (photos of a neutral and a smiling face, frames of
clips, warps), all attributes in one regression: what people differ in stays out, and so do the other attributes. The
same regression between people tells how teeth and wrinkles look, which warps cannot; both are averaged.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from models import cards, registry
from models.cards import make_card
from models.dfc_vae.attributes import CAPTIONED, METERS, NAME, STEPS, Attribute, Directions, Words, save_directions
from models.dfc_vae.network import DfcVae
from models.dfc_vae.reading import CropReadings, read_crops
from models.faces.names import MIRRORED_BLENDSHAPES
from models.faces.network import FaceNet
from models.faces.pose import head_pose
from models.training.data import FaceSet, read_faces, split
from models.training.dfc_vae import face_ruler
from models.training.dfc_vae_crops import exact_crops
from models.training.ship import CLIPS, LONDON, SFHQ, WARPED, WEBMORPH, figure

log = logging.getLogger(__name__)

RELIABLE = {"london": 6.0, "clips": 2.0, "webmorph_cc0": 6.0}
"""How much more a picture counts whose expression is the person's own and not a warp's."""
CALIBRATED_ON = 48
GAIN_LIMITS = (0.5, 2.5)
"""A direction whose pictures follow it weakly is not stretched beyond this: it would leave the faces the code knows."""
WARPS = 2500
"""Warps of the training people that the sliders are fitted to, drawn by chance."""
BETWEEN = 0.5
"""Share of the regression between people."""
RIDGE = 0.05
LEAST_AUC = 0.75
LIMITS = (
    "Directions are averages: on a single face a step may do more or less than it says. Beard, glasses and age come "
    "from few captions of synthetic faces and change the person more than an expression does."
)


@dataclass(frozen=True, eq=False)
class Coded:
    """Training faces in the latent space."""

    faces: FaceSet
    codes: NDArray[np.float64]
    """(N, latent)"""
    values: NDArray[np.float64]
    """(N, meters) of the labels, over their standard deviations."""
    units: NDArray[np.float64]
    """(meters,) those standard deviations."""


def run(*, data: Path, out: Path, device: str, resume: bool, minutes: float = 5.0) -> dict[str, float]:
    """Fit, calibrate and measure the sliders of the shipped latent space, and ship them; the time is not used."""
    out.mkdir(parents=True, exist_ok=True)
    config, tensors, backend = registry.shipped("dfc_vae")
    network = DfcVae(**config)
    network.load_state_dict(tensors)
    reader = face_ruler()
    training, held = split(read_faces(data, sets=("faces256", "clips", "warped")))
    coded = _coded(network.eval(), _fewer_warps(training), reader)
    log.info("%d faces coded", len(coded.codes) // 2)
    fitted = [*_fit_meters(coded), *_fit_words(coded)]
    directions = _assembled(coded, fitted, backend)
    directions = calibrated(network, reader, directions, coded)
    clear = held.rows(np.isin(held.source, ("sfhq_t2i", "london")))
    directions = measured(network, reader, directions, coded.units, clear)
    path = cards.PRETRAINED / f"{NAME}.safetensors"
    save_directions(directions, path)
    figures = {f"{item.name} effect per step": item.effect for item in directions.attributes if item.is_read}
    figures |= {f"{item.name} auc": item.auc for item in directions.attributes if not item.is_read}
    told = f"{len(clear)} pictures of people never trained on; 1 is one standard deviation of training faces"
    command = f"mien train {NAME} --data DATA"
    make_card(
        path,
        title="Sliders of the latent space",
        what="Directions that change one thing about a face, each step by about the same amount.",
        licence="Apache-2.0",
        training_data=(SFHQ, LONDON, WEBMORPH, CLIPS, WARPED),
        recipe=command,
        figures={name: figure(value, told, command) for name, value in figures.items()},
        limits=LIMITS,
        day=datetime.now(UTC).date(),
    )
    return figures


def _fewer_warps(faces: FaceSet) -> FaceSet:
    warped = np.flatnonzero(faces.source == "warped")
    keep = faces.source != "warped"
    keep[np.random.default_rng(0).permutation(warped)[:WARPS]] = True
    return faces.rows(keep)


@torch.inference_mode()
def _coded(network: DfcVae, faces: FaceSet, reader: FaceNet) -> Coded:
    crops = exact_crops(faces, size=network.size)
    codes = [network.encode(part.float() / 255).mean for part in crops.split(64)]
    mirrored = [network.encode(part.flip(-1).float() / 255).mean for part in crops.split(64)]
    mean = reader.mean_shape.float().numpy()
    yaw = np.array([head_pose(points, mean).yaw for points in faces.landmarks], np.float32)
    plain = CropReadings(faces.landmarks, faces.blendshapes, yaw)
    turned = CropReadings(faces.landmarks, faces.blendshapes[:, MIRRORED_BLENDSHAPES], -yaw)
    values = [np.stack([side.strength(meter.weights) for meter in METERS], 1) for side in (plain, turned)]
    both = np.concatenate(values).astype(np.float64)
    clear = np.tile(np.isin(faces.source, ("sfhq_t2i", "london")), 2)
    units = both[clear].std(0) if clear.any() else both.std(0)
    return Coded(_twice(faces), torch.cat([*codes, *mirrored]).double().numpy(), both / units, units)


def _twice(faces: FaceSet) -> FaceSet:
    rows = np.concatenate([np.arange(len(faces))] * 2)
    mirrored_names = np.concatenate([faces.identity, np.char.add(faces.identity, " mirrored")])
    return FaceSet(
        pictures=[],
        landmarks=faces.landmarks[rows],
        blendshapes=faces.blendshapes[rows],
        identity=mirrored_names,
        caption=faces.caption[rows],
        source=faces.source[rows],
    )


def _fit_meters(coded: Coded) -> list[tuple[Attribute, NDArray[np.float64]]]:
    weights = np.array([RELIABLE.get(str(name), 1.0) for name in coded.faces.source])
    groups = np.unique(coded.faces.identity, return_inverse=True)[1]
    within = _regression(_centred(coded.codes, groups, weights), _centred(coded.values, groups, weights), weights)
    own = np.flatnonzero(np.isin(coded.faces.source, ("sfhq_t2i", "london", "webmorph_cc0")))
    ones = np.zeros(len(own), int)
    between = _regression(
        _centred(coded.codes[own], ones, weights[own]), _centred(coded.values[own], ones, weights[own]), weights[own]
    )
    rows = []
    for place, meter in enumerate(METERS):
        share = 1.0 if meter.name == "head_turn" else BETWEEN  # hardly anybody is shown from two sides
        step = (1 - share) * within[place] + share * between[place]
        unit = float(coded.units[place])
        rows.append((Attribute(meter.name, meter.title, meter.less, meter.more, unit, 0, "", 0, is_read=True), step))
    return rows


def _centred(values: NDArray, groups: NDArray, weights: NDArray) -> NDArray:
    total = np.bincount(groups, weights)
    means = np.stack([np.bincount(groups, weights * column) / total for column in values.T], 1)
    return values - means[groups]


def _regression(codes: NDArray, values: NDArray, weights: NDArray) -> NDArray:
    """(meters, latent): what each value adds to a code while the others stay."""
    gram = (values * weights[:, None]).T @ values
    gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    return np.linalg.solve(gram, (values * weights[:, None]).T @ codes)


def _fit_words(coded: Coded) -> list[tuple[Attribute, NDArray[np.float64]]]:
    """Mean differences between captions, without what the expressions of both explain; weak ones are left out."""
    own = np.flatnonzero(np.char.str_len(coded.faces.caption) > 0)
    own = own[coded.faces.source[own] == "sfhq_t2i"]
    explained = np.c_[np.ones(len(own)), coded.values[own]]
    codes = coded.codes[own] - explained @ np.linalg.lstsq(explained, coded.codes[own], rcond=None)[0]
    captions = coded.faces.caption[own]
    people = np.char.replace(coded.faces.identity[own], " mirrored", "")
    rows = []
    for words in CAPTIONED:
        having, lacking = np.isin(captions, words.having), np.isin(captions, words.lacking)
        if min(having.sum(), lacking.sum()) < 8:
            continue
        auc = _auc(codes[having | lacking], having[having | lacking], people[having | lacking])
        log.info("%s: %d with, %d without, AUC %.2f", words.name, having.sum(), lacking.sum(), auc)
        if auc < LEAST_AUC:
            continue
        gap = codes[having].mean(0) - codes[lacking].mean(0)
        rows.append((_worded(words, auc), gap / STEPS))
    return rows


def _worded(words: Words, auc: float) -> Attribute:
    return Attribute(words.name, words.title, words.less, words.more, 1.0, 1.0, "", 0, is_read=False, auc=round(auc, 3))


def _auc(codes: NDArray, having: NDArray, people: NDArray) -> float:
    plain = np.flatnonzero(np.unique(people, return_index=True)[1] >= 0)
    first = np.unique(people, return_index=True)[1][plain]
    probe = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5)
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    scores = cross_val_predict(probe, codes[first], having[first], cv=folds, method="decision_function")
    return float(roc_auc_score(having[first], scores))


def _assembled(coded: Coded, fitted: list[tuple[Attribute, NDArray]], backend: str) -> Directions:
    own = coded.codes[np.isin(coded.faces.source, ("sfhq_t2i", "london", "webmorph_cc0"))]
    covariance = np.cov(own.T) + 1e-4 * np.eye(own.shape[1])
    return Directions(
        attributes=tuple(attribute for attribute, _ in fitted),
        steps=np.stack([step for _, step in fitted]).astype(np.float32),
        mean=own.mean(0).astype(np.float32),
        spread=np.linalg.cholesky(covariance).astype(np.float32),
        backend=backend,
    )


@torch.inference_mode()
def effects(
    network: DfcVae, reader: FaceNet, codes: NDArray, step: NDArray, units: NDArray, *, amount: float = 1.0
) -> NDArray[np.float64]:
    """(meters,) mean change per step, in units, when faces go from minus to plus `amount` steps."""
    readings = []
    for sign in (-amount, amount):
        moved = torch.from_numpy((codes + sign * step).astype(np.float32))
        pictures = torch.cat([network.decode(part).clamp(0, 1) for part in moved.split(32)])
        read = read_crops(reader, pictures)
        readings.append(np.stack([read.strength(meter.weights) for meter in METERS], 1))
    change: NDArray[np.float64] = (readings[1] - readings[0]).mean(0) / (2 * amount) / units
    return change


def calibrated(network: DfcVae, reader: FaceNet, directions: Directions, coded: Coded) -> Directions:
    """Stretch each step that can be read until it changes its reading by one unit on training faces."""
    own = np.flatnonzero(np.isin(coded.faces.source, ("sfhq_t2i", "london")))
    codes = coded.codes[own[:: max(1, len(own) // CALIBRATED_ON)]]
    names = [meter.name for meter in METERS]
    steps = directions.steps.copy()
    for place, attribute in enumerate(directions.attributes):
        if not attribute.is_read:
            continue
        gain = 1.0
        for _ in range(2):
            reached = effects(network, reader, codes, gain * steps[place], coded.units)[names.index(attribute.name)]
            gain = float(np.clip(gain / max(reached, 0.2), *GAIN_LIMITS))
        log.info("%s: stretched by %.2f", attribute.name, gain)
        steps[place] *= gain
    return replace(directions, steps=steps)


def measured(network: DfcVae, reader: FaceNet, directions: Directions, units: NDArray, held: FaceSet) -> Directions:
    """Write into each attribute what a step does to people training never saw."""
    with torch.inference_mode():
        crops = exact_crops(held, size=network.size)
        codes = torch.cat([network.encode(part.float() / 255).mean for part in crops.split(64)]).numpy()
    names = [meter.name for meter in METERS]
    attributes = []
    for attribute, step in zip(directions.attributes, directions.steps, strict=True):
        change = effects(network, reader, codes, step, units)
        effect = change[names.index(attribute.name)] if attribute.is_read else attribute.effect
        others = [i for i, name in enumerate(names) if name != attribute.name]
        most = max(others, key=lambda i: abs(change[i]))
        attributes.append(
            replace(
                attribute,
                effect=round(float(effect), 3),
                side_effect=METERS[most].title,
                side=round(float(change[most]), 3),
            )
        )
    return replace(directions, attributes=tuple(attributes))
