"""Learn each slider by what it does: decode, read the picture, and follow the reading's gradient back to the step.

A step fitted to labels alone points where faces differ, which is not quite where the decoder moves. Here every step is
pulled until its own reading changes by one unit and the others stay, on training faces. The way there is charged by
how people themselves move: a direction in which one person's pictures vary is cheap, one that only tells people apart
is dear, so that identity stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.dfc_vae.attributes import METERS
from models.dfc_vae.network import DfcVae
from models.dfc_vae.reading import widened
from models.faces.names import BLENDSHAPE_NAMES
from models.faces.network import FaceNet, in_eye_frame

NOSE_TIP = 4
NOSE_PER_DEGREE = 0.02
"""How far the nose's tip moves from the eyes' middle, in half eye distances, per degree of yaw (labelled photos)."""
LEAN_UNIT = 1.5
"""About a standard deviation of a blendshape before its sigmoid."""


@dataclass(frozen=True)
class Effort:
    """How steps are learned, and what they are charged for."""

    rounds: int = 36
    """Updates of each step."""
    minutes: float = 20.0
    """They end after so long, however many there were; after 0 the steps are as they were."""
    batch: int = 6
    rate: float = 0.05
    side: float = 1.5
    """Weight of the squared change of every other reading, per face."""
    length: float = 2.5
    """Of a step while it is learned, in standard deviations of its way: a free one would shrink where little moves."""
    amounts: tuple[float, float] = (0.4, 1.6)
    """Steps are tried at lengths between these, to either side."""


class Gauge(nn.Module):
    """Decoded pictures to readings in units: what `read_crops` reports, one way round and with gradients.

    Beside each reading stands its lean: the same before the sigmoid, which still has a gradient where the reading is
    near nothing, as that of most closed mouths and open eyes is.
    """

    def __init__(self, reader: FaceNet, units: NDArray[np.float64]) -> None:
        super().__init__()
        self.reader = reader
        weights = torch.zeros(len(METERS), len(BLENDSHAPE_NAMES))
        for place, meter in enumerate(METERS):
            for name, weight in meter.weights.items():
                if name != "yaw":
                    weights[place, BLENDSHAPE_NAMES.index(name)] = weight
        self.register_buffer("weights", weights)
        self.register_buffer("units", torch.from_numpy(np.asarray(units, np.float32)))
        self.turn = next(place for place, meter in enumerate(METERS) if "yaw" in meter.weights)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, S, S) in [0, 1] -> (B, 2, meters): readings and leans."""
        reading = self.reader(widened(pictures, size=int(self.reader.config["size"])))
        values = reading.blendshapes.sigmoid() @ self.weights.T / self.units  # (B, meters)
        leans = reading.blendshapes @ self.weights.T / LEAN_UNIT  # (B, meters)
        nose = in_eye_frame(reading.landmarks[..., :2])[:, NOSE_TIP, 0]  # (B,)
        turn = nose / (NOSE_PER_DEGREE * self.units[self.turn])
        both = torch.stack([values, leans], 1)  # (B, 2, meters)
        turns = turn[:, None, None].expand(-1, 2, 1)
        return torch.cat([both[..., : self.turn], turns, both[..., self.turn + 1 :]], 2)


def within_people(codes: NDArray[np.float64], person: NDArray[np.str_]) -> NDArray[np.float64]:
    """(latent, latent) factor F with F F' the covariance of codes about each person's mean.

    People with one picture say nothing; a twentieth of all faces' covariance is added, which keeps F invertible.
    """
    groups = np.unique(person, return_inverse=True)[1]
    count = np.bincount(groups)
    means = np.stack([np.bincount(groups, column) for column in codes.T], 1) / count[:, None]
    several = count[groups] > 1
    inside = (codes - means[groups])[several]
    freedom = max(int(several.sum() - (count > 1).sum()), 1)
    whole = np.cov(codes.T)
    factor: NDArray[np.float64] = np.linalg.cholesky(inside.T @ inside / freedom + 0.05 * whole)
    return factor


def steer(
    network: DfcVae,
    gauge: Gauge,
    start: NDArray[np.float64],
    *,
    codes: NDArray[np.float64],
    factors: Sequence[NDArray[np.float64]],
    effort: Effort = Effort(),
    report: Callable[[dict[str, object]], None] = lambda row: None,
    seed: int = 0,
) -> NDArray[np.float64]:
    """(meters, latent) steps from `start`, learned on (N, latent) codes of training faces.

    `factors` tell for each meter what its way is charged by, as `within_people` gives it; `report` hears of progress.
    """
    rng = np.random.default_rng(seed)
    network.requires_grad_(False)
    gauge.requires_grad_(False)
    known = torch.from_numpy(codes.astype(np.float32))
    spreads = [torch.from_numpy(factor.astype(np.float32)) for factor in factors]
    rows = [nn.Parameter(_white(spread, step)) for spread, step in zip(spreads, start, strict=True)]
    optimisers = [torch.optim.Adam([row], lr=effort.rate, betas=(0.9, 0.98)) for row in rows]
    begun = time.perf_counter()
    for turn in range(effort.rounds):
        passed = (time.perf_counter() - begun) / 60
        done = max(turn / effort.rounds, passed / effort.minutes if effort.minutes else 1.0)
        if done >= 1:
            break
        for place, (row, optimiser) in enumerate(zip(rows, optimisers, strict=True)):
            faces = known[rng.choice(len(known), effort.batch, replace=False)]
            amount = float(rng.uniform(*effort.amounts))
            change = _change(network, gauge, faces, _step(spreads[place], row, effort), amount)
            loss = _loss(change, place, effort)
            optimiser.zero_grad()
            loss.backward()
            optimiser.param_groups[0]["lr"] = effort.rate * (1 - done)
            optimiser.step()
            told = [round(float(value), 3) for value in change[:, 0].detach().mean(0)]
            report({"update": turn, "slider": METERS[place].name, "readings": told})
    steps = [_step(spread, row.detach(), effort) for spread, row in zip(spreads, rows, strict=True)]
    return np.stack([step.double().numpy() for step in steps])


def _step(spread: Tensor, row: Tensor, effort: Effort) -> Tensor:
    return spread @ (row * (effort.length / row.norm()))


def _white(spread: Tensor, step: NDArray[np.float64]) -> Tensor:
    column = torch.from_numpy(step.astype(np.float32))[:, None]
    return torch.linalg.solve_triangular(spread, column, upper=False)[:, 0]


def _change(network: DfcVae, gauge: Gauge, faces: Tensor, step: Tensor, amount: float) -> Tensor:
    moved = torch.cat([faces + amount * step, faces - amount * step])
    up, down = gauge(network.decode(moved).clamp(0, 1)).chunk(2)
    return (up - down) / (2 * amount)  # (B, 2, meters)


def _loss(change: Tensor, place: int, effort: Effort) -> Tensor:
    own = (change[..., place] - 1).square().mean()
    side = change[:, 0].square().mean(0).sum() - change[:, 0, place].square().mean()
    return own + effort.side * side
