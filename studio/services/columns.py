"""What the map can be coloured and filtered by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from models.errors import BadInput
from models.faces.names import BLENDSHAPE_NAMES, PLAIN_NAMES
from models.types import EMOTIONS
from studio.palette import EMOTION_COLOURS
from studio.services.answers_on_map import disagreement, questions_on
from studio.services.atlas import Atlas
from studio.services.gallery_reading import load_readings

if TYPE_CHECKING:
    from db.store import Store

CLUSTER_MOST = 10_000
"""Faces that take part in finding clusters; the others join the cluster of their nearest neighbours."""
LEAST_CLUSTER = 5
MOST_LABELS = 24
REST = "other"
NAMED_ACTIONS = 2
STANDS_OUT = 0.6
"""By how many standard deviations a cluster's action must exceed the rest to be named."""


@dataclass(frozen=True, eq=False)
class Column:
    """One value per face of an atlas."""

    name: str
    title: str
    kind: Literal["number", "category"]
    values: NDArray[np.float32]
    """The number, or the index into `labels`; NaN where it is not known."""
    labels: tuple[str, ...] = ()

    def words(self, row: int) -> str:
        """Return the value of one face as a person would say it."""
        value = float(self.values[row])
        if np.isnan(value):
            return "not known"
        return self.labels[int(value)] if self.kind == "category" else f"{value:.2f}"


def column_choices(store: Store, atlas: Atlas, home: Path) -> list[tuple[str, str]]:
    """Return (title, name) of every column that has something to show."""
    readings = load_readings(home, atlas.backend)
    choices = []
    if np.isin(readings.ids, atlas.ids).any():
        choices += [("Emotion", "emotion"), ("Valence", "valence"), ("Arousal", "arousal")]
    choices += [("Cluster", "cluster")]
    if len(atlas.galleries) > 1:
        choices += [("Source", "source")]
    if len(questions_on(store, atlas).rows):
        choices += [("Annotators disagree", "disagreement")]
    choices += [(f"Tag: {tag}", f"tag:{tag}") for tag in _tags(store, atlas)]
    if len(readings.ids):
        actions = [name for name in BLENDSHAPE_NAMES if name != "_neutral"]
        choices += [(_capital(PLAIN_NAMES[name]), f"action:{name}") for name in actions]
    return choices


def column(store: Store, atlas: Atlas, home: Path, name: str) -> Column:
    """Return a column by name, which comes from a browser; raises BadInput for one that is not there."""
    kind, _, detail = name.partition(":")
    if kind == "emotion":
        emotions = load_readings(home, atlas.backend).for_ids(atlas.ids, "emotions")
        known = ~np.isnan(emotions[:, 0])
        shown = emotions[:, [EMOTIONS.index(emotion) for emotion in EMOTION_COLOURS]]
        codes = np.where(known, np.where(known[:, None], shown, 0).argmax(1), np.nan).astype(np.float32)
        return Column(name, "Emotion", "category", codes, tuple(EMOTION_COLOURS))
    if kind in ("valence", "arousal"):
        affect = load_readings(home, atlas.backend).for_ids(atlas.ids, "affect")
        return Column(name, kind.capitalize(), "number", affect[:, ("valence", "arousal").index(kind)])
    if kind == "action" and detail in BLENDSHAPE_NAMES:
        actions = load_readings(home, atlas.backend).for_ids(atlas.ids, "actions")
        title = _capital(PLAIN_NAMES[detail])
        return Column(name, title, "number", actions[:, BLENDSHAPE_NAMES.index(detail)])
    if kind == "cluster":
        return _clusters(store, atlas, home)
    if kind == "source":
        galleries = sorted(atlas.galleries)
        places = np.searchsorted(galleries, np.asarray(atlas.gallery_of)).astype(np.float32)
        return Column(name, "Source", "category", places, tuple(atlas.galleries[number] for number in galleries))
    if kind == "disagreement":
        return Column(name, "Annotators disagree", "number", disagreement(store, atlas))
    if kind == "tag":
        return _tag_column(store, atlas, detail)
    raise BadInput(f"there is nothing called {name[:40]!r} to colour by")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _tags(store: Store, atlas: Atlas) -> list[str]:
    seen = Counter(tag for gallery in atlas.galleries for face in store.faces(gallery) for tag in face.tags)
    return [tag for tag, _ in seen.most_common(40)]


def _tag_column(store: Store, atlas: Atlas, tag: str) -> Column:
    tagged = {
        face.id: face.tags[tag] for gallery in atlas.galleries for face in store.faces(gallery) if tag in face.tags
    }
    values = [tagged.get(face_id) for face_id in atlas.ids.tolist()]
    return _category(f"tag:{tag}", f"Tag: {tag}", values)


def _category(name: str, title: str, values: Sequence[str | None]) -> Column:
    counts = Counter(value for value in values if value is not None)
    labels = [label for label, _ in counts.most_common(MOST_LABELS)]
    if len(counts) > MOST_LABELS:
        labels[-1] = REST
    places = {label: place for place, label in enumerate(labels)}
    last = len(labels) - 1
    codes = [np.nan if value is None else places.get(value, last) for value in values]
    return Column(name, title, "category", np.array(codes, np.float32), tuple(labels))


def _clusters(store: Store, atlas: Atlas, home: Path) -> Column:
    codes = _cluster_codes(atlas)
    names = _cluster_names(store, atlas, home, codes)
    values = np.where(codes >= 0, codes, np.nan).astype(np.float32)
    return Column("cluster", "Cluster", "category", values, tuple(names))


def _cluster_codes(atlas: Atlas) -> NDArray[np.int64]:
    """Return the cluster of each face, biggest first, -1 for none: HDBSCAN over the vectors, kept on disk."""
    path = atlas.folder / "clusters.npy"
    if path.is_file():
        kept: NDArray[np.int64] = np.load(path)
        return kept
    from sklearn.cluster import HDBSCAN  # noqa: PLC0415 - a second to load, only when asked for

    count = len(atlas)
    some = np.arange(count)
    if count > CLUSTER_MOST:
        some = np.sort(np.random.default_rng(0).choice(count, CLUSTER_MOST, replace=False))
    points = np.array(atlas.vectors[some])
    smallest = max(LEAST_CLUSTER, len(some) // 100)
    found = HDBSCAN(min_cluster_size=smallest, min_samples=LEAST_CLUSTER, copy=True).fit_predict(points)
    order = [label for label, _ in Counter(found[found >= 0].tolist()).most_common()]
    renamed = np.array([order.index(label) if label >= 0 else -1 for label in found.tolist()], np.int64)
    codes = np.full(count, -1, np.int64)
    codes[some] = renamed
    if count > CLUSTER_MOST and order:
        codes = _joined(atlas, some, renamed)
    with path.with_suffix(".part").open("wb") as stream:
        np.save(stream, codes)
    path.with_suffix(".part").replace(path)
    return codes


def _joined(atlas: Atlas, some: NDArray[np.int64], found: NDArray[np.int64]) -> NDArray[np.int64]:
    from sklearn.neighbors import KNeighborsClassifier  # noqa: PLC0415

    voter = KNeighborsClassifier(5, algorithm="brute").fit(np.array(atlas.vectors[some]), found)
    blocks = [voter.predict(np.array(atlas.vectors[at : at + 4096])) for at in range(0, len(atlas), 4096)]
    codes = np.concatenate(blocks).astype(np.int64)
    codes[some] = found
    return codes


def _cluster_names(store: Store, atlas: Atlas, home: Path, codes: NDArray[np.int64]) -> list[str]:
    """Name each cluster by its most frequent emotion and the muscle actions that set it apart."""
    readings = load_readings(home, atlas.backend)
    emotions = readings.for_ids(atlas.ids, "emotions")
    actions = readings.for_ids(atlas.ids, "actions")
    count = int(codes.max()) + 1 if len(codes) else 0
    names = [_cluster_name(emotions, actions, codes == number, number) for number in range(count)]
    repeated = Counter(names)
    return [f"{name} {number + 1}" if repeated[name] > 1 else name for number, name in enumerate(names)]


def _cluster_name(
    emotions: NDArray[np.float32], actions: NDArray[np.float32], inside: NDArray[np.bool_], number: int
) -> str:
    known = inside & ~np.isnan(emotions[:, 0])
    if not known.any():
        return f"group {number + 1}"
    emotion = EMOTIONS[int(np.bincount(emotions[known].argmax(1), minlength=len(EMOTIONS)).argmax())]
    others = ~inside & ~np.isnan(actions[:, 0])
    known = inside & ~np.isnan(actions[:, 0])
    if not others.any() or not known.any():
        return emotion
    spread = np.nanstd(actions, axis=0) + 0.02
    lead = (actions[known].mean(0) - actions[others].mean(0)) / spread
    best = [index for index in np.argsort(-lead)[:NAMED_ACTIONS] if lead[index] > STANDS_OUT]
    words = [PLAIN_NAMES[BLENDSHAPE_NAMES[index]] for index in best if BLENDSHAPE_NAMES[index] != "_neutral"]
    return ", ".join([emotion, *words])


def shown_rows(
    chosen: Column, *, labels: Sequence[str] = (), low: float | None = None, high: float | None = None
) -> NDArray[np.bool_]:
    """Return which faces a filter keeps: those with one of the labels, or between two numbers."""
    if chosen.kind == "category":
        wanted = [place for place, label in enumerate(chosen.labels) if label in labels]
        return np.isin(chosen.values, wanted)
    at_least = -np.inf if low is None else low
    at_most = np.inf if high is None else high
    return (chosen.values >= at_least) & (chosen.values <= at_most)
