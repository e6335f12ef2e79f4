"""Comparisons -> the last stage of the expression network, tuned beside a head and held near what it was.

Optional, and meant for a GPU: pictures say more than frozen vectors, and a network can learn faces by heart. So only
the last stage moves, by small steps, its vectors are pulled towards the base's, and it stops when held-out answers, of
which each has a face that was never trained on, say so. Device and precision are accelerate's business.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from models.deepfever import ExpressionNet, features_of, vector_of
from models.errors import BadWeights, Cancelled, MissingWeights
from models.finetune import (
    UNREADABLE,
    ExpressionHead,
    Fit,
    Plan,
    Vectors,
    pair_distances,
    surprise,
    tensors_of,
    train_head,
)
from models.triplets import Comparisons
from models.types import Image

TRUNK_FROM = 1500
"""Answers below which the trunk is not tried."""
HELD_OUT_FACES = 0.1
AT_ONCE = 64


@dataclass(frozen=True)
class TrunkPlan:
    """How to fit."""

    steps: int = 400
    batch: int = 64
    """Triplets in a step."""
    rate: float = 3e-5
    """Of the trunk; Adam."""
    head_rate: float = 5e-4
    anchor: float = 1.0
    """Weight of the mean squared distance of the vectors to the base's."""
    look_every: int = 10
    patience: int = 8
    """Looks at the held-out answers without a better one before it stops."""
    seed: int = 0


class Tail(nn.Module):
    """The part of an expression network that is trained: its last stage and the way from there to the vector."""

    def __init__(self, network: ExpressionNet) -> None:
        super().__init__()
        depth = int(network.config["depths"][-1])
        self.blocks = copy.deepcopy(network.trunk.blocks[-depth:])
        self.squeeze, self.hidden, self.vector = (
            copy.deepcopy(part) for part in (network.squeeze, network.hidden, network.vector)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(B, width, h, w) of the frozen stages -> (B, 64) unit vectors."""
        last = self.blocks(maps)  # (B, width, h/2, w/2)
        return vector_of(self, features_of(self, last))


@dataclass(frozen=True, eq=False)
class TunedTrunk:
    """A network whose last stage was tuned, and the head behind it."""

    network: ExpressionNet
    """The base, untouched."""
    tail: Tail
    """Where the base is."""
    head: ExpressionHead
    """On the CPU."""

    @torch.inference_mode()
    def read(self, crops: Sequence[Image]) -> Vectors:
        """Read upright crops (size, size, 3), cut at CROP_SCALE: (n, 64) unit vectors, through trunk and head."""
        found = [np.zeros((0, int(self.head.config["dimension"])), np.float32)]
        for start in range(0, len(crops), AT_ONCE):
            part = maps_of(self.network, crops[start : start + AT_ONCE])
            found.append(self.head(self.tail(part).cpu()).numpy())
        return np.concatenate(found)

    def to_bytes(self) -> bytes:
        """Return the head, and by how much each number of the tail moved, in half precision, as safetensors."""
        before, after = Tail(self.network).state_dict(), self.tail.state_dict()
        moved = {
            f"trunk.{name}": (after[name].cpu() - before[name].cpu()).half().contiguous()
            for name in trainable(self.tail)
        }
        head = {f"head.{name}": value.cpu().contiguous() for name, value in self.head.state_dict().items()}
        return save_tensors(moved | head)

    @classmethod
    def from_bytes(cls, content: bytes, network: ExpressionNet, **config: object) -> TunedTrunk:
        """Return what `to_bytes` kept, on the network it started from; raises BadWeights where they do not fit."""
        try:
            stored = load_tensors(content)
            head, tail = ExpressionHead(**config), Tail(network)
            head.load_state_dict(_under("head.", stored))
            moved, state = _under("trunk.", stored), tail.state_dict()
            if set(moved) != set(trainable(tail)):
                raise KeyError("other layers")
            tail.load_state_dict(state | {name: state[name] + value.float() for name, value in moved.items()})
        except UNREADABLE as error:
            raise BadWeights(f"this trunk cannot be read: {error}") from error
        return cls(network, tail.eval(), head.eval())


@dataclass(frozen=True, eq=False)
class TrunkFit:
    """A tuned trunk and how it was found."""

    tuned: TunedTrunk
    temperature: float
    steps: int
    held_out_loss: float
    """Mean surprise per held-out answer in nats."""
    head_loss: float
    """The same with the head alone, the trunk untouched."""
    drift: float
    """Mean distance of the trunk's vectors, before the head, to the base's."""
    curve: tuple[float, ...]


def trainable(tail: Tail) -> list[str]:
    """Return the names of what is trained; means and variances of normalisations stay as they are."""
    return [name for name, _ in tail.named_parameters()]


def head_of(content: bytes, **config: object) -> ExpressionHead:
    """Return the head alone from what `TunedTrunk.to_bytes` kept."""
    return ExpressionHead.from_bytes(save_tensors(_under("head.", load_tensors(content))), **config)


@torch.inference_mode()
def maps_of(network: ExpressionNet, crops: Sequence[Image]) -> Tensor:
    """Return what the frozen stages make of crops: (n, width, h, w)."""
    device = next(network.parameters()).device
    depth = int(network.config["depths"][-1])
    trunk = network.trunk
    found = []
    for start in range(0, len(crops), AT_ONCE):
        pixels = torch.from_numpy(np.stack(crops[start : start + AT_ONCE])).to(device).permute(0, 3, 1, 2).float() / 255
        found.append(trunk.blocks[:-depth](trunk.stem((pixels - trunk.mean) / trunk.deviation)))
    return torch.cat(found)


def fit_trunk(
    network: ExpressionNet,
    crops: Sequence[Image],
    comparisons: Comparisons,
    found: Fit,
    *,
    plan: TrunkPlan | None = None,
    progress: Callable[[float, str], None] = lambda _share, _step: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> TrunkFit | None:
    """Tune the last stage beside a head like the one that was found; None when held-out answers like that no better.

    `comparisons` tell of rows of `crops` (size, size, 3); `network` stays as it is, in float32. Raises Cancelled, and
    MissingWeights without accelerate.
    """
    if find_spec("accelerate") is None:
        raise MissingWeights("fine-tuning the trunk needs accelerate: install the extra mien[trunk]")
    plan = plan or TrunkPlan()
    training, later = _by_faces(comparisons, seed=plan.seed)
    if not len(training) or not len(later):
        return None
    work = _Work(network, crops, training, later, found, plan)
    for step in range(plan.steps):
        if cancelled():
            raise Cancelled("the fine-tuning was stopped")
        if step % plan.look_every == 0:
            progress(step / plan.steps, "training the trunk")
            if not work.look(step):
                break
        work.step()
    else:
        work.look(plan.steps)
    return work.result()


class _Work:
    """One training under way."""

    def __init__(
        self, network: ExpressionNet, crops: Sequence[Image], training: Comparisons, later: Comparisons, found: Fit,
        plan: TrunkPlan,
    ) -> None:  # fmt: skip
        from accelerate import Accelerator  # noqa: PLC0415 - an extra, and it takes a second to load

        torch.manual_seed(plan.seed)
        self.network, self.plan, self.chance = network, plan, np.random.default_rng(plan.seed)
        device = next(network.parameters()).device
        self.accelerator = Accelerator(
            cpu=device.type == "cpu", mixed_precision="bf16" if device.type == "cuda" else "no"
        )
        self.maps = maps_of(network, crops).clone()
        tail = Tail(network).eval().requires_grad_(True)  # normalisations keep what they learned from many more faces
        with torch.no_grad():
            self.base = tail(self.maps)
        everything = np.ones(len(training), bool)
        head, _ = train_head(
            self.base.cpu().numpy(), training, everything, found.kind, found.anchor, Plan(found.steps, seed=plan.seed)
        )
        groups = [
            {"params": list(tail.parameters()), "lr": plan.rate},
            {"params": list(head.parameters()), "lr": plan.head_rate},
        ]
        optimiser = torch.optim.Adam(groups)
        self.tail, self.head, self.optimiser = self.accelerator.prepare(tail, head.train(False), optimiser)
        self.training, self.votes = training, training.votes / training.votes.sum()
        self.pull = found.anchor / max(float(training.votes.sum()), 1.0)
        self.later = tuple(one.to(self.maps.device) for one in tensors_of(later))
        self.curve: list[float] = []
        self.best: tuple[float, int, dict[str, Tensor], dict[str, Tensor]] | None = None

    def step(self) -> None:
        """Learn from some triplets, drawn as often as they were answered."""
        drawn = self.chance.choice(len(self.training), min(self.plan.batch, len(self.training)), p=self.votes)
        part = self.training.where(drawn)
        faces, rows = np.unique(part.places, return_inverse=True)
        said = Comparisons(rows.reshape(part.places.shape), part.shares, part.votes, part.kinds, part.heads)
        places, shares, votes, _, barred = (one.to(self.maps.device) for one in tensors_of(said))
        here = torch.from_numpy(faces).to(self.maps.device)
        with self.accelerator.autocast():
            vectors = self.tail(self.maps[here])
        logits = -self.head.log_temperature.exp() * pair_distances(self.head(vectors), places, barred)
        near = (vectors - self.base[here]).square().sum(1).mean()
        loss = surprise(logits, shares, torch.ones_like(votes)) + self.plan.anchor * near
        self.accelerator.backward(loss + self.pull * self.head.distance_from_base())
        self.optimiser.step()
        self.optimiser.zero_grad()

    @torch.no_grad()
    def look(self, step: int) -> bool:
        """Ask the held-out answers, keep the best, and tell whether it is worth going on."""
        places, shares, votes, _, barred = self.later
        logits = -self.head.log_temperature.exp() * pair_distances(self.head(self.tail(self.maps)), places, barred)
        loss = float(surprise(logits, shares, votes))
        self.curve.append(loss)
        if self.best is None or loss < self.best[0]:
            tail, head = (self.accelerator.unwrap_model(one) for one in (self.tail, self.head))
            self.best = (loss, step, copy.deepcopy(tail.state_dict()), copy.deepcopy(head.state_dict()))
        return len(self.curve) - 1 - int(np.argmin(self.curve)) < self.plan.patience

    def result(self) -> TrunkFit | None:
        """Return the best there was, as it will be read again from its bytes; None where it is the head alone."""
        if self.best is None or self.best[1] == 0:
            return None
        loss, step, tail_state, head_state = self.best
        tail, head = (self.accelerator.unwrap_model(one) for one in (self.tail, self.head))
        tail.load_state_dict(tail_state)
        head.load_state_dict(head_state)
        config = {name: head.config[name] for name in ("dimension", "kind", "block")}
        content = TunedTrunk(self.network, tail, head).to_bytes()
        head.cpu()
        tuned = TunedTrunk.from_bytes(content, self.network, **config)
        with torch.no_grad():
            drift = float((tuned.tail(self.maps) - self.base).norm(dim=1).mean())
        temperature = float(tuned.head.log_temperature.detach().exp())
        return TrunkFit(tuned, temperature, step, loss, self.curve[0], drift, tuple(self.curve))


def _by_faces(comparisons: Comparisons, *, seed: int) -> tuple[Comparisons, Comparisons]:
    """Split answers: those about any of a tenth of the faces asked about are held out, the rest are learned from."""
    faces = np.random.default_rng((seed, 7)).permutation(np.unique(comparisons.places))
    kept_out = faces[: max(1, round(HELD_OUT_FACES * len(faces)))]
    held: NDArray[np.bool_] = np.isin(comparisons.places, kept_out).any(1)
    return comparisons.where(~held), comparisons.where(held)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
