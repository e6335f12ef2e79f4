"""Vectors after a fine-tuning: what they are called, and how faces get to where the model in use puts them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from db.types import Backend, ModelRunRow
from models.errors import BadInput

if TYPE_CHECKING:
    from db.store import Store
    from models.finetune import ExpressionHead

Vectors = NDArray[np.float32]
MARK = "+run"
LATENT = "dfc_vae-"


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
    head: ExpressionHead = ExpressionHead.from_bytes(run.weights, **run.metrics["head"])
    return head


def version_in_use(store: Store, backend: str) -> ModelRunRow | None:
    """Return the model put into use last, of whatever project, that stands on this network's vectors."""
    return next((run for run in store.promoted_runs() if run.backend == backend), None)


def write_vectors(store: Store, run: ModelRunRow) -> int:
    """Move the vectors of every gallery that the base network has read and this model has not; return how many."""
    named, written = backend_of(run), 0
    for gallery in store.galleries():
        ids, vectors = store.vectors(gallery.id, backend=run.backend)
        there = set(store.vectors(gallery.id, backend=named)[0])
        rows = [place for place, face_id in enumerate(ids) if face_id not in there]
        if rows:
            store.add_vectors([ids[row] for row in rows], load_head(run).apply_to(vectors[rows]), backend=named)
            written += len(rows)
    return written


def forget_vectors(store: Store, run: ModelRunRow) -> None:
    """Delete what `write_vectors` wrote."""
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


def moved(store: Store, vector: Vectors, backend: str) -> tuple[Vectors, str]:
    """Return a new face's vector where the model in use puts it, and that model's name; unmoved where there is none."""
    run = version_in_use(store, backend)
    if run is None:
        return vector, backend
    return load_head(run).apply_to(vector[None])[0], kept_up(store, backend)
