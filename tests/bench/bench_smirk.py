"""What SMIRK's official shapes cost per image on this machine, under rule-made weights and a round stand-in head.

    python -m tests.bench.bench_smirk [--threads 2] [--repeats 9]

prints a line per step: name, median wall ms, median CPU ms, aim. "plain" is the network as the checkpoint has it, the
others are the copies that people use; all take turns, so that they meet the same load. Wall time means something only
on a machine that does nothing else; the exit status is 1 when an aim is missed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from scipy.spatial import ConvexHull

from models.smirk import crop, rule, rule_face
from models.smirk.encoder import Coefficients, SmirkEncoder
from models.smirk.face_arrays import TRIANGLES, VERTICES, FaceArrays
from models.smirk.fast import for_inference
from models.smirk.flame import FlameLayer
from models.smirk.generator import SmirkGenerator
from models.smirk.shading import Surface, render

ENCODER_AIM, GENERATOR_AIM = 120.0, 180.0
FACE_VERTICES = 1787
Network = TypeVar("Network", bound=torch.nn.Module)


@dataclass(frozen=True)
class Step:
    """One thing to time, and what it may cost in ms."""

    name: str
    work: Callable[[], object]
    aim: float | None = None


def round_head(seed: str) -> FaceArrays:
    """A ball with as many vertices, triangles and directions as FLAME; its face is the part turned to the camera."""
    index = np.arange(VERTICES)
    height = 1 - 2 * (index + 0.5) / VERTICES
    around = index * np.pi * (3 - np.sqrt(5))
    ring = np.sqrt(1 - height**2)
    points = np.stack((ring * np.cos(around), height, ring * np.sin(around)), axis=1)
    triangles = ConvexHull(points).simplices[:TRIANGLES].astype(np.int64)
    arrays = rule_face.face_arrays(seed)
    return replace(
        arrays,
        template=points * (0.075, 0.1, 0.09),
        triangles=triangles,
        shape_basis=arrays.shape_basis * 0.01,
        expression_basis=arrays.expression_basis * 0.01,
        pose_basis=arrays.pose_basis * 0.01,
        eyelids=arrays.eyelids * 0.01,
        face_vertices=np.sort(np.argsort(-points[:, 2])[:FACE_VERTICES]),
    )


def filled(network: Network, prefix: str) -> Network:
    """A network with weights by rule."""
    network.load_state_dict(rule.state_dict("bench", network.state_dict(), prefix=prefix))
    return network.eval()


def steps() -> list[Step]:
    """Everything there is to time."""
    encoder, generator = filled(SmirkEncoder(), "smirk_encoder."), filled(SmirkGenerator(), "smirk_generator.")
    quick_encoder, quick_generator = for_inference(encoder), for_inference(generator)
    arrays = round_head("bench")
    flame = FlameLayer(arrays)
    face = Surface.of(flame.triangles, vertices=torch.as_tensor(arrays.face_vertices))
    head = Surface.of(flame.triangles, vertices=torch.arange(VERTICES))
    pixels, picture = torch.from_numpy(rule.encoder_batch("bench")[:1]), torch.from_numpy(rule.generator_batch("bench"))
    photo = np.random.default_rng(0).integers(0, 256, (2160, 3840, 3), dtype=np.uint8)
    landmarks = np.random.default_rng(0).uniform(800, 1500, (478, 2)).astype(np.float32)
    camera = torch.tensor([[7.0, 0.0, 0.0]])
    given: Coefficients = replace(rule_face.coefficients("bench", dtype=torch.float32), camera=camera)
    one = Coefficients(**{name: value[:1] for name, value in vars(given).items()})
    vertices = flame(one).vertices

    def whole() -> torch.Tensor:
        read = quick_encoder(pixels)
        return render(flame(read).vertices, face, camera=camera)

    return [
        Step("encoder + FLAME + render at 224 px", whole, ENCODER_AIM),
        Step("generator", lambda: quick_generator(picture[:1]), GENERATOR_AIM),
        Step("encoder, plain", lambda: encoder(pixels)),
        Step("encoder", lambda: quick_encoder(pixels)),
        Step("FLAME", lambda: flame(one)),
        Step("render of the face at 224 px", lambda: render(vertices, face, camera=camera)),
        Step("render of the head at 512 px", lambda: render(vertices, head, camera=camera, size=512)),
        Step("generator, plain", lambda: generator(picture[:1])),
        Step("crop out of 3840 x 2160", lambda: crop.cut(photo, landmarks)),
    ]


@torch.inference_mode()
def measure(*, repeats: int) -> bool:
    """Print the lines; return whether every aim is met."""
    work = steps()
    spent: dict[str, list[tuple[float, float]]] = {step.name: [] for step in work}
    for turn in range(repeats + 2):
        for step in work:
            wall, cpu = time.perf_counter(), time.process_time()
            step.work()
            if turn >= 2:  # the first turns fill caches
                spent[step.name].append((time.perf_counter() - wall, time.process_time() - cpu))
    missed = False
    for step in work:
        wall, cpu = (1e3 * statistics.median(column) for column in zip(*spent[step.name], strict=True))
        aim = "" if step.aim is None else f"aim {step.aim:.0f} ms"
        missed |= step.aim is not None and wall > step.aim
        sys.stdout.write(f"{step.name:<36} {wall:8.1f} ms wall {cpu:8.1f} ms CPU  {aim}\n")
    return not missed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    sys.exit(0 if measure(repeats=chosen.repeats) else 1)
