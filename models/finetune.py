"""Comparisons -> a small head on frozen expression vectors, anchored to what the vectors say already.

Few answers can ruin a flexible map (facts: an un-anchored head fell below the untouched features), so the head has as
many parameters as the amount of answers allows, is pulled towards the identity, and stops when held-out answers say so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from models.errors import BadWeights, Cancelled
from models.triplets import ENOUGH, Comparisons

Vectors = NDArray[np.float32]
LADDER = (("diagonal", ENOUGH), ("low_rank", 1500), ("full", 8000))
"""Head and the number of answers from which it may be tried."""
ANCHORS = (0.1, 2.0)
FOLDS = 3
UNREADABLE = (SafetensorError, KeyError, TypeError, ValueError, RuntimeError)
"""What bytes that are no such model, or another one's, end in."""
OUT_OF_QUESTION = 1e3
"""A squared distance no two unit vectors have."""
MARGINS = (0.1, 0.2, 0.2, 0.2)
"""FEC's hinge by kind: one-class, two-class, three-class, unknown."""


@dataclass(frozen=True)
class Plan:
    """How to fit."""

    steps: int = 100
    rate: float = 0.04
    block: int = 12
    """Directions that a low-rank head may mix."""
    hinge: float = 0.0
    """Weight of FEC's two-sided hinge beside the odd-one-out softmax."""
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Fit:
    """A head and how it was found."""

    head: ExpressionHead
    temperature: float
    """Turns distances into calibrated chances."""
    kind: str
    anchor: float
    steps: int
    held_out_loss: float
    """Mean surprise per held-out answer in nats."""
    base_loss: float
    """The same for the untouched vectors."""
    curve: tuple[float, ...]
    """Held-out loss over the steps."""


class ExpressionHead(ModelMixin, ConfigMixin):
    """A linear map near the identity in the directions in which the vectors vary, then unit length."""

    @register_to_config
    def __init__(self, dimension: int = 64, kind: str = "diagonal", block: int = 12) -> None:
        super().__init__()
        size = {"diagonal": 0, "low_rank": min(block, dimension), "full": dimension}[kind]
        self.size = size
        self.register_buffer("basis", torch.eye(dimension))
        self.log_scale = nn.Parameter(torch.zeros(dimension))
        self.mixing = nn.Parameter(torch.zeros(size, size))
        self.log_temperature = nn.Parameter(torch.zeros(()))

    def forward(self, vectors: Tensor) -> Tensor:
        """(n, dimension) unit vectors -> the same, moved."""
        turned = vectors @ self.basis  # (n, dimension), strongest direction first
        scaled = turned * self.log_scale.exp()
        if self.size:
            mixed = turned[:, : self.size] @ self.mixing  # (n, size)
            scaled = scaled + nn.functional.pad(mixed, (0, scaled.shape[1] - self.size))
        return nn.functional.normalize(scaled @ self.basis.T, dim=1)

    def distance_from_base(self) -> Tensor:
        """How far the map is from the identity: 0 for untouched vectors."""
        return self.log_scale.square().sum() + self.mixing.square().sum()

    @torch.inference_mode()
    def apply_to(self, vectors: Vectors) -> Vectors:
        """(n, dimension) -> (n, dimension) unit vectors."""
        return self(torch.from_numpy(np.ascontiguousarray(vectors, np.float32))).numpy()

    def to_bytes(self) -> bytes:
        """Return the weights as safetensors."""
        return save_tensors({name: value.contiguous() for name, value in self.state_dict().items()})

    @classmethod
    def from_bytes(cls, content: bytes, **config: object) -> ExpressionHead:
        """Return the head that `to_bytes` kept; raises BadWeights when the bytes do not fit the configuration."""
        head = cls(**config)
        try:
            head.load_state_dict(load_tensors(content))
        except UNREADABLE as error:
            raise BadWeights(f"this head cannot be read: {error}") from error
        return head.eval()


def heads_for(answers: int) -> tuple[str, ...]:
    """Return the heads that this many answers can carry; none while collecting."""
    return tuple(kind for kind, least in LADDER if answers >= least)


def fit(
    vectors: Vectors,
    comparisons: Comparisons,
    *,
    plan: Plan | None = None,
    kinds: Sequence[str] | None = None,
    progress: Callable[[float, str], None] = lambda _share, _step: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Fit | None:
    """Fit the head that held-out answers like best; None while collecting, or when none beats the untouched vectors.

    `vectors` (faces, dimension) are the frozen base; each candidate (head, anchor) is judged over four folds of the
    triplets. Raises Cancelled.
    """
    plan = plan or Plan()
    answers = int(comparisons.votes.sum())
    kinds = heads_for(answers) if kinds is None else kinds
    folds = np.random.default_rng(plan.seed).permutation(len(comparisons)) % FOLDS
    base = float(np.mean([_base_loss(vectors, comparisons, folds, fold) for fold in range(FOLDS)])) if kinds else 0.0
    best: tuple[float, str, float, int, tuple[float, ...]] | None = None
    candidates = [(kind, anchor) for kind in kinds for anchor in ANCHORS]
    for number, (kind, anchor) in enumerate(candidates):
        progress(number / (len(candidates) + 1), f"trying a {kind.replace('_', '-')} head")
        curves = []
        for fold in range(FOLDS):
            if cancelled():
                raise Cancelled("the fine-tuning was stopped")
            _, curve = train_head(vectors, comparisons, folds != fold, kind, anchor, plan, held_out=folds == fold)
            curves.append(curve)
        curve = np.mean(curves, axis=0)
        step = int(curve.argmin())
        if best is None or curve[step] < best[0]:
            best = (float(curve[step]), kind, anchor, step + 1, tuple(float(value) for value in curve))
    if best is None or best[0] >= base:
        return None
    loss, kind, anchor, steps, curve_kept = best
    progress(len(candidates) / (len(candidates) + 1), "fitting on all answers")
    everything = np.ones(len(comparisons), bool)
    head, _ = train_head(vectors, comparisons, everything, kind, anchor, Plan(**(asdict(plan) | {"steps": steps})))
    return Fit(head, float(head.log_temperature.detach().exp()), kind, anchor, steps, loss, base, curve_kept)


def bootstrap_heads(
    vectors: Vectors, comparisons: Comparisons, *, count: int = 8, seed: int = 0, steps: int = 60
) -> list[ExpressionHead]:
    """Return heads fitted to resampled answers; where they disagree, an answer would tell most."""
    heads = []
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        drawn = comparisons.where(rng.integers(0, len(comparisons), len(comparisons)))
        plan = Plan(steps=steps, seed=seed)
        heads.append(train_head(vectors, drawn, np.ones(len(drawn), bool), "diagonal", 0.3, plan)[0])
    return heads


def calibrated_temperature(vectors: Vectors, comparisons: Comparisons) -> float:
    """Return the temperature under which the untouched vectors surprise least."""
    squared = pair_distances(torch.from_numpy(vectors), torch.from_numpy(comparisons.places), _heads(comparisons))
    shares = torch.from_numpy(comparisons.shares).float()
    weights = torch.from_numpy(comparisons.votes).float()
    temperatures = np.exp(np.linspace(-2, 6, 81))
    losses = [float(surprise(-value * squared, shares, weights)) for value in temperatures]
    return float(temperatures[int(np.argmin(losses))])


def train_head(
    vectors: Vectors,
    comparisons: Comparisons,
    chosen: NDArray[np.bool_],
    kind: str,
    anchor: float,
    plan: Plan,
    *,
    held_out: NDArray[np.bool_] | None = None,
) -> tuple[ExpressionHead, list[float]]:
    """Fit one head with Adam over all chosen triplets at once; returns it and its held-out loss per step."""
    torch.manual_seed(plan.seed)
    base = torch.from_numpy(np.ascontiguousarray(vectors, np.float32))
    head = ExpressionHead(base.shape[1], kind, plan.block)
    head.basis.copy_(torch.linalg.svd(base, full_matrices=True)[2].T)
    training = comparisons.where(chosen)
    with torch.no_grad():
        head.log_temperature.fill_(float(np.log(calibrated_temperature(vectors, training))))
    said = tensors_of(training)
    later = tensors_of(comparisons.where(held_out)) if held_out is not None else None
    optimiser = torch.optim.Adam(head.parameters(), lr=plan.rate)
    pull = anchor / max(float(said[2].sum()), 1.0)
    curve: list[float] = []
    for _ in range(plan.steps):
        optimiser.zero_grad()
        moved = head(base)
        squared = pair_distances(moved, said[0], said[4])
        loss = surprise(-head.log_temperature.exp() * squared, said[1], said[2])
        if plan.hinge:
            loss = loss + plan.hinge * _hinge(squared, said[1], said[2], said[3])
        (loss + pull * head.distance_from_base()).backward()
        optimiser.step()
        if later is not None:
            with torch.no_grad():
                logits = -head.log_temperature.exp() * pair_distances(head(base), later[0], later[4])
                curve.append(float(surprise(logits, later[1], later[2])))
    return head.eval(), curve


def tensors_of(comparisons: Comparisons) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    margins = torch.tensor(MARGINS)[torch.from_numpy(comparisons.kinds)]
    return (
        torch.from_numpy(comparisons.places),
        torch.from_numpy(comparisons.shares).float(),
        torch.from_numpy(comparisons.votes).float(),
        margins,
        _heads(comparisons),
    )


def _heads(comparisons: Comparisons) -> Tensor:
    """(n, 3): 1 for the pair without the head, which nobody could choose."""
    barred = torch.zeros(len(comparisons), 3)
    if comparisons.heads is not None:
        barred[:, 0] = torch.from_numpy(comparisons.heads).float()
    return barred


def pair_distances(vectors: Tensor, places: Tensor, barred: Tensor) -> Tensor:
    """(faces, dimension) unit vectors, (n, 3), (n, 3) -> (n, 3) squared distances, barred pairs far apart.

    From one product where faces are few.
    """
    apart = barred * OUT_OF_QUESTION
    left, right = places[:, [1, 0, 0]], places[:, [2, 2, 1]]  # the pairs of models.triplets.PAIRS
    if len(vectors) ** 2 <= 4 * places.numel() * 16:
        return apart + 2 - 2 * (vectors @ vectors.T)[left, right]
    return apart + 2 - 2 * (vectors[left] * vectors[right]).sum(-1)


def surprise(logits: Tensor, shares: Tensor, weights: Tensor) -> Tensor:
    """Mean negative log-likelihood of one vote: a softmax over the three pairs, soft labels."""
    return -((shares * logits.log_softmax(1)).sum(1) * weights).sum() / weights.sum()


def _hinge(squared: Tensor, shares: Tensor, weights: Tensor, margins: Tensor) -> Tensor:
    """FEC's two hinges: the pair left together must be nearer than both others, by the margin of its kind."""
    odd = shares.argmax(1, keepdim=True)
    near = squared.gather(1, odd)
    others = (near - squared + margins[:, None]).clamp(min=0)
    others = others.scatter(1, odd, 0.0)
    return (others.sum(1) * weights).sum() / weights.sum()


def _base_loss(vectors: Vectors, comparisons: Comparisons, folds: NDArray[np.int64], fold: int) -> float:
    temperature = calibrated_temperature(vectors, comparisons.where(folds != fold))
    places, shares, weights, _, heads = tensors_of(comparisons.where(folds == fold))
    squared = pair_distances(torch.from_numpy(vectors), places, heads)
    return float(surprise(-temperature * squared, shares, weights))
