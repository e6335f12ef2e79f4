"""Recipe of the latent space's sliders: fitted to labels, steered by what they do, calibrated to one common step.

Expressions start from one regression of the codes on all labels (within people: photos of a neutral and a smiling face,
frames of clips, warps; and between people, who show teeth and wrinkles, which warps cannot), and are then learned
through decoder and landmark network (`dfc_vae_steering`). Beard, glasses and age are what sets captions apart; their
reading is a probe on the code of the decoded picture.
"""

from __future__ import annotations

import json
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
from models.dfc_vae.attributes import (
    CAPTIONED,
    METERS,
    NAME,
    STEP,
    STEPS,
    Attribute,
    Directions,
    Words,
    save_directions,
)
from models.dfc_vae.network import DfcVae
from models.dfc_vae.reading import read_crops
from models.faces.network import FaceNet
from models.training.data import read_faces, split
from models.training.dfc_vae import face_ruler
from models.training.dfc_vae_coded import CLEAR, OWN, Coded, code_faces
from models.training.dfc_vae_crops import exact_crops
from models.training.dfc_vae_steering import Effort, Gauge, steer, within_people
from models.training.ship import CLIPS, LONDON, SFHQ, WARPED, WEBMORPH, figure

log = logging.getLogger(__name__)

RELIABLE = {"london": 6.0, "clips": 2.0, "webmorph_cc0": 6.0}
"""How much more a picture counts whose expression is the person's own and not a warp's."""
CALIBRATED_ON = 24
MEASURED_ON = 60
SPAN = 2.0
"""Steps to either side between which an effect is measured."""
LONGEST = 3.5
"""A step is not stretched beyond so many standard deviations of its way: three of them would leave the faces that the
code knows."""
BETWEEN = 0.5
"""Share of the regression between people."""
RIDGE = 0.05
LEAST_AUC = 0.75
LIMITS = (
    "Directions are averages: on a single face a step may do more or less than it says. Beard, glasses and age come "
    "from few captions of synthetic faces. Lids, gaze and the head's turn do less than a step aims at."
)


@dataclass(frozen=True, eq=False)
class Slider:
    """An attribute while it is made."""

    attribute: Attribute
    step: NDArray[np.float64]
    """(latent,)"""
    probe: NDArray[np.float64] | None = None
    """(latent,) of captions: code times probe is the reading, in its standard deviations. None where meters read."""


@dataclass(frozen=True, eq=False)
class Bench:
    """What sliders are measured with."""

    network: DfcVae
    reader: FaceNet
    units: NDArray[np.float64]

    @torch.inference_mode()
    def effects(self, codes: NDArray, step: NDArray, *, probe: NDArray | None = None) -> NDArray[np.float64]:
        """Mean change per step, in units, from `SPAN` steps less to `SPAN` more: (meters,), + 1 where a probe reads.

        A probe reads the code of the decoded picture, not the code that was decoded: what does not show does not count.
        """
        readings = []
        for amount in (-SPAN, SPAN):
            moved = torch.from_numpy((codes + amount * step).astype(np.float32))
            pictures = torch.cat([self.network.decode(part).clamp(0, 1) for part in moved.split(32)])
            read = read_crops(self.reader, pictures)
            columns = [read.strength(meter.weights) / unit for meter, unit in zip(METERS, self.units, strict=True)]
            if probe is not None:
                again = torch.cat([self.network.encode(part).mean for part in pictures.split(32)])
                columns.append(again.double().numpy() @ probe)
            readings.append(np.stack(columns, 1))
        change: NDArray[np.float64] = (readings[1] - readings[0]).mean(0) / (2 * SPAN)
        return change


def run(*, data: Path, out: Path, device: str, resume: bool, minutes: float = 20.0) -> dict[str, float]:
    """Fit, steer for up to `minutes`, calibrate and measure the sliders of the shipped latent space, and ship them.

    `resume` takes up codes and steps of the last run with the same network; another network's steps mean nothing to it.
    """
    out.mkdir(parents=True, exist_ok=True)
    curve = out / "curve.jsonl"
    curve.unlink(missing_ok=True)
    config, tensors, backend = registry.shipped("dfc_vae")
    network = DfcVae(**config)
    network.load_state_dict(tensors)
    network.eval()
    reader = face_ruler()
    kept = out / f"codes-{backend}.npz"
    learned = out / f"steps-{backend}.npy"
    if not resume:
        kept.unlink(missing_ok=True)
        learned.unlink(missing_ok=True)
    coded = code_faces(data, network, reader, kept=kept)
    photos = coded.codes[coded.of(*CLEAR)]
    factors = ways(coded)

    def report(row: dict[str, object]) -> None:
        with curve.open("a") as stream:
            stream.write(json.dumps(row) + "\n")

    gauge = Gauge(reader, coded.units)
    start = np.load(learned) if learned.is_file() else fit_meters(coded)
    effort = Effort(minutes=minutes)
    steps = steer(network, gauge, start, codes=photos, factors=factors, effort=effort, report=report)
    np.save(learned, steps)
    bench = Bench(network, reader, coded.units)
    some = photos[:: max(1, len(photos) // CALIBRATED_ON)]
    metered = zip(_metered(coded, steps), factors, strict=True)
    sliders = [calibrated(bench, slider, some, factor) for slider, factor in metered]
    worded = [cleaned(bench, slider, sliders, some) for slider in fit_words(coded)]
    sliders += [calibrated(bench, slider, some, whole(photos)) for slider in worded]
    unseen = _unseen(data, network)
    sliders = [measured(bench, slider, unseen) for slider in sliders]
    save_directions(_assembled(coded, sliders, backend), cards.PRETRAINED / f"{NAME}.safetensors")
    return _carded([slider.attribute for slider in sliders], len(unseen))


@torch.inference_mode()
def _unseen(data: Path, network: DfcVae) -> NDArray[np.float64]:
    """(faces, latent) codes of some photos of people training never saw, evenly taken."""
    held = split(read_faces(data, sets=("faces256",)))[1]
    clear = held.rows(np.isin(held.source, CLEAR))
    clear = clear.rows(np.arange(len(clear)) % max(1, len(clear) // MEASURED_ON) == 0)
    crops = exact_crops(clear, size=network.size)
    codes = torch.cat([network.encode(part.float() / 255).mean for part in crops.split(64)])
    return np.asarray(codes.double().numpy())


def _carded(attributes: list[Attribute], faces: int) -> dict[str, float]:
    figures = {f"{item.name} effect per step": item.effect for item in attributes}
    figures |= {f"{item.name} auc": item.auc for item in attributes if not item.is_read}
    told = f"{faces} pictures of people never trained on; 1 is one standard deviation of training faces"
    command = f"mien train {NAME} --data DATA"
    make_card(
        cards.PRETRAINED / f"{NAME}.safetensors",
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


def ways(coded: Coded) -> list[NDArray[np.float64]]:
    """Return for each meter a factor of the covariance its way is charged by: of one person's pictures.

    The head's turn is charged by how faces differ at all, because hardly anybody is shown from two sides.
    """
    within, between = within_people(coded.codes, coded.person), whole(coded.codes[coded.of(*CLEAR)])
    return [between if meter.name == "head_turn" else within for meter in METERS]


def whole(codes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(latent, latent) factor of the covariance of all codes."""
    factor: NDArray[np.float64] = np.linalg.cholesky(np.cov(codes.T) + 1e-4 * np.eye(codes.shape[1]))
    return factor


def fit_meters(coded: Coded) -> NDArray[np.float64]:
    """(meters, latent): what a unit of each label adds to a code while the others stay, within and between people."""
    weights = np.array([RELIABLE.get(str(name), 1.0) for name in coded.source])
    groups = np.unique(coded.person, return_inverse=True)[1]
    within = _regression(_centred(coded.codes, groups, weights), _centred(coded.values, groups, weights), weights)
    own = np.flatnonzero(coded.of(*OWN))
    ones = np.zeros(len(own), int)
    between = _regression(
        _centred(coded.codes[own], ones, weights[own]), _centred(coded.values[own], ones, weights[own]), weights[own]
    )
    # Hardly anybody is shown from two sides.
    share = np.array([1.0 if meter.name == "head_turn" else BETWEEN for meter in METERS])[:, None]
    return (1 - share) * within + share * between


def _metered(coded: Coded, steps: NDArray[np.float64]) -> list[Slider]:
    return [
        Slider(Attribute(meter.name, meter.title, meter.less, meter.more, float(unit), 0, "", 0, is_read=True), step)
        for meter, unit, step in zip(METERS, coded.units, steps, strict=True)
    ]


def _centred(values: NDArray, groups: NDArray, weights: NDArray) -> NDArray:
    total = np.bincount(groups, weights)
    means = np.stack([np.bincount(groups, weights * column) / total for column in values.T], 1)
    return values - means[groups]


def _regression(codes: NDArray, values: NDArray, weights: NDArray) -> NDArray:
    """(meters, latent): what each value adds to a code while the others stay."""
    gram = (values * weights[:, None]).T @ values
    gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    return np.linalg.solve(gram, (values * weights[:, None]).T @ codes)


def fit_words(coded: Coded) -> list[Slider]:
    """Mean differences between captions, without what the expressions of both explain; weak ones are left out."""
    own = np.flatnonzero((np.char.str_len(coded.caption) > 0) & coded.of("sfhq_t2i"))
    explained = np.c_[np.ones(len(own)), coded.values[own]]
    codes = coded.codes[own] - explained @ np.linalg.lstsq(explained, coded.codes[own], rcond=None)[0]
    people = np.char.replace(coded.person[own], " mirrored", "")
    rows = []
    for words in CAPTIONED:
        having, lacking = np.isin(coded.caption[own], words.having), np.isin(coded.caption[own], words.lacking)
        if min(having.sum(), lacking.sum()) < 8:
            continue
        asked = having | lacking
        auc = _auc(codes[asked], having[asked], people[asked])
        log.info("%s: %d with, %d without, AUC %.2f", words.name, having.sum(), lacking.sum(), auc)
        if auc < LEAST_AUC:
            continue
        found = _probe().fit(codes[asked], having[asked]).coef_[0]
        gap = codes[having].mean(0) - codes[lacking].mean(0)
        rows.append(Slider(_worded(words, auc), gap / STEPS, probe=found / (coded.codes[own] @ found).std()))
    return rows


def _worded(words: Words, auc: float) -> Attribute:
    return Attribute(words.name, words.title, words.less, words.more, 1.0, 0, "", 0, is_read=False, auc=round(auc, 3))


def _probe() -> LinearDiscriminantAnalysis:
    # Nearly the difference of the means: a sharper probe would be moved by what nobody sees.
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.9)


def _auc(codes: NDArray, having: NDArray, people: NDArray) -> float:
    first = np.unique(people, return_index=True)[1]
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    scores = cross_val_predict(_probe(), codes[first], having[first], cv=folds, method="decision_function")
    return float(roc_auc_score(having[first], scores))


def cleaned(bench: Bench, slider: Slider, known: list[Slider], codes: NDArray) -> Slider:
    """Take away what a captions' step does to the readings, by as much of the calibrated steps as undoes it."""
    change = bench.effects(codes, slider.step)
    step = slider.step.copy()
    for other, moved in zip(known, change, strict=True):
        if other.attribute.effect >= STEP / 2:
            step -= moved / other.attribute.effect * other.step
    return replace(slider, step=step)


def calibrated(bench: Bench, slider: Slider, codes: NDArray, factor: NDArray) -> Slider:
    """Stretch a step until it changes its own reading by `STEP` on training faces, or as far as it may be stretched."""
    length = float(np.linalg.norm(np.linalg.solve(factor, slider.step)))
    gain = reached = 1.0
    for _ in range(2):
        reached = _own(slider, bench.effects(codes, gain * slider.step, probe=slider.probe))
        wanted = gain * STEP / max(reached, 0.02)
        gain = min(wanted, LONGEST / length)
    log.info("%s: stretched by %.2f to a length of %.2f", slider.attribute.name, gain, gain * length)
    return replace(slider, step=gain * slider.step, attribute=replace(slider.attribute, effect=reached))


def measured(bench: Bench, slider: Slider, codes: NDArray) -> Slider:
    """Write into the attribute what a step does to these faces."""
    change = bench.effects(codes, slider.step, probe=slider.probe)
    others = [place for place, meter in enumerate(METERS) if meter.name != slider.attribute.name]
    most = max(others, key=lambda place: abs(change[place]))
    log.info("%s: %s", slider.attribute.name, " ".join(f"{value:+.2f}" for value in change))
    told = {"effect": round(_own(slider, change), 3), "side": round(float(change[most]), 3)}
    return replace(slider, attribute=replace(slider.attribute, side_effect=METERS[most].title, **told))


def _own(slider: Slider, change: NDArray[np.float64]) -> float:
    names = [meter.name for meter in METERS]
    return float(change[names.index(slider.attribute.name) if slider.probe is None else -1])


def _assembled(coded: Coded, sliders: list[Slider], backend: str) -> Directions:
    own = coded.codes[coded.of(*OWN)]
    return Directions(
        attributes=tuple(slider.attribute for slider in sliders),
        steps=np.stack([slider.step for slider in sliders]).astype(np.float32),
        mean=own.mean(0).astype(np.float32),
        spread=whole(own).astype(np.float32),
        backend=backend,
    )
