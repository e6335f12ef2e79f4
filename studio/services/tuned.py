"""Vectors after a fine-tuning: what they are called, and how faces get to where the model in use puts them."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from db.types import Backend, ModelRunRow
from models import registry
from models.errors import BadInput
from models.types import Image
from studio.services.expression import PORTRAIT_SCALE

if TYPE_CHECKING:
    from db.store import Store
    from models.deepfever import ExpressionNet
    from models.finetune import ExpressionHead
    from models.finetune_trunk import TunedTrunk

Told = Callable[[float, str], None]
Vectors = NDArray[np.float32]
MARK = "+run"
LATENT = "dfc_vae-"
AT_ONCE = 256
"""Faces whose vectors are moved and written together."""


def backend_of(run: ModelRunRow) -> Backend:
    """Return the name of the vectors that a run makes: the base's name and hash with the run's own behind."""
    base = Backend.parse(run.backend)
    own = hashlib.sha256(run.weights or b"").hexdigest()[:12]
    return Backend(f"{base.name}{MARK}{run.id}", f"{base.weight_hash}.{own}")


def base_of(backend: str) -> str:
    """Return the network whose vectors a fine-tuning started from; other names come back as they are."""
    named = Backend.parse(backend)
    name, mark, _ = named.name.partition(MARK)
    return str(Backend(name, named.weight_hash.rpartition(".")[0])) if mark else backend


def expression_networks(store: Store, gallery_id: int) -> list[str]:
    """Return the networks whose expression vectors a gallery's faces have, as they are and fine-tuned.

    Codes of the latent space lie in the same table and say more than the expression; they are left out.
    """
    names = [str(backend) for backend in store.backends(gallery_id)]
    return [name for name in names if not name.startswith(LATENT)]


def load_head(run: ModelRunRow) -> ExpressionHead:
    """Return the head of a run; raises BadInput when it has none."""
    from models.finetune import ExpressionHead  # noqa: PLC0415  (torch is loaded when somebody needs it)

    if run.weights is None:
        raise BadInput(f"run {run.id} has no model: it {run.metrics.get('reason', 'was still collecting answers')}")
    if has_trunk(run):
        from models.finetune_trunk import head_of  # noqa: PLC0415

        behind: ExpressionHead = head_of(run.weights, **run.metrics["head"])
        return behind
    head: ExpressionHead = ExpressionHead.from_bytes(run.weights, **run.metrics["head"])
    return head


def has_trunk(run: ModelRunRow) -> bool:
    """Tell whether a run tuned the trunk as well, so that its vectors are read off pictures."""
    return "trunk" in run.metrics


def trunk_of(run: ModelRunRow) -> TunedTrunk:
    """Return the tuned trunk and head of a run; raises BadInput where the network it started from is not in use."""
    return _built(run.weights or b"", run.backend, tuple(sorted(run.metrics["head"].items())))


@lru_cache(maxsize=2)
def _built(weights: bytes, backend: str, head: tuple[tuple[str, Any], ...]) -> TunedTrunk:
    from models.finetune_trunk import TunedTrunk  # noqa: PLC0415  (torch is loaded when somebody needs it)

    built: TunedTrunk = TunedTrunk.from_bytes(weights, base_network(backend), **dict(head))
    return built


def base_network(backend: str) -> ExpressionNet:
    """Return a copy in float32 of the network that made these vectors; raises BadInput where another one is in use."""
    reader = registry.load("deepfever")
    if reader.backend != backend or not hasattr(reader, "network"):
        raise BadInput(f"this needs the network {backend}, and {reader.backend} is in use here")
    network: ExpressionNet = copy.deepcopy(reader.network).float().requires_grad_(False)
    return network


def version_in_use(store: Store, backend: str) -> ModelRunRow | None:
    """Return the model put into use last, of whatever project, that stands on this network's vectors."""
    return next((run for run in store.promoted_runs() if run.backend == backend), None)


def write_vectors(store: Store, run: ModelRunRow, *, told: Told = lambda _share, _step: None) -> int:
    """Move the vectors of every gallery that the base network has read and this model has not; return how many.

    Where the trunk was tuned, faces are read anew from their pictures; one without a picture keeps the base's vector,
    moved by the head alone.
    """
    named, written = backend_of(run), 0
    for gallery in store.galleries():
        ids, vectors = store.vectors(gallery.id, backend=run.backend)
        there = set(store.vectors(gallery.id, backend=named)[0])
        rows = [place for place, face_id in enumerate(ids) if face_id not in there]
        if not rows:
            continue
        head = load_head(run)
        for start in range(0, len(rows), AT_ONCE):
            told(start / len(rows), "moving the vectors")
            part = rows[start : start + AT_ONCE]
            chosen = [ids[row] for row in part]
            store.add_vectors(chosen, _moved_rows(store, run, head, chosen, vectors[part]), backend=named)
            written += len(part)
    return written


def _moved_rows(store: Store, run: ModelRunRow, head: ExpressionHead, face_ids: list[int], vectors: Vectors) -> Vectors:
    """Return the vectors where a run puts them: read anew where it tuned the trunk and the face's picture is here."""
    from studio.services.gallery_crops import crops_of  # noqa: PLC0415 - it reads galleries, which need this module

    after = head.apply_to(vectors)
    if has_trunk(run):
        crops = crops_of(store, face_ids)
        here = [row for row, face_id in enumerate(face_ids) if face_id in crops]
        after[here] = trunk_of(run).read([crops[face_ids[row]] for row in here])
    return after


def forget_vectors(store: Store, run: ModelRunRow) -> None:
    """Delete what `write_vectors` wrote; what a tuned trunk read stays, so that it need not read all again."""
    if has_trunk(run):
        return
    for gallery in store.galleries():
        store.delete_vectors(gallery.id, backend=backend_of(run))


def kept_up(store: Store, backend: str) -> str:
    """Return whose vectors to show for a network: those of its model in use, made for new faces first, or its own."""
    run = version_in_use(store, backend)
    if run is None:
        return backend
    if store.count_vectors(run.backend) != store.count_vectors(backend_of(run)):
        write_vectors(store, run)
    return str(backend_of(run))


def moved(store: Store, vector: Vectors, backend: str, *, portrait: Image | None = None) -> tuple[Vectors, str]:
    """Return a new face's vector where the model in use puts it, and that model's name; unmoved where there is none.

    A tuned trunk looks at the portrait; where only a vector is known, its head alone moves that.
    """
    run = version_in_use(store, backend)
    if run is None:
        return vector, backend
    if has_trunk(run) and portrait is not None:
        return trunk_of(run).read([expression_crop(portrait)])[0], kept_up(store, backend)
    return load_head(run).apply_to(vector[None])[0], kept_up(store, backend)


def expression_crop(portrait: Image) -> Image:
    """Return the crop that the expression network sees from a portrait of the same upright face, cut wider."""
    from models.deepfever import CROP_SCALE  # noqa: PLC0415  (torch is loaded when somebody needs it)

    size, edge = registry.load("deepfever").size, portrait.shape[0]
    inner = edge * CROP_SCALE / PORTRAIT_SCALE
    start = (edge - inner) / 2
    matrix = np.array([[size / inner, 0, 0], [0, size / inner, 0]])
    matrix[:, 2] = (0.5 - start) * size / inner - 0.5
    return np.asarray(cv2.warpAffine(portrait, matrix, (size, size), flags=cv2.INTER_AREA), np.uint8)
