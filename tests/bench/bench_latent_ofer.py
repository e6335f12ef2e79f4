"""What the official refiner costs on this machine with 106 hidden cells, under rule-made weights.

    python -m tests.bench.bench_latent_ofer [--threads 2] [--repeats 9]

prints one JSON line. "rewritten" is what `mien weights add latent-ofer-refiner` leads to, "layers" the official layers
one by one. Each is run several times in a row after one call to warm up. CPU-seconds do not count the time other
programs take, though these slow the memory down; wall seconds mean something only on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable

import torch

from models.latent_ofer import rule
from models.latent_ofer.assembly import SelfAssembly, shrink_mask
from models.latent_ofer.hybrid import HybridRefiner
from models.latent_ofer.quick import quicken

AIM_SECONDS = 0.4


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return wall and CPU seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


@torch.inference_mode()
def measure(*, repeats: int = 9) -> dict[str, float]:
    """Return the median and the best cost of each way, in seconds."""
    net = rule.build(HybridRefiner, "hybrid_G", "bench")
    image = rule.blocks("hybrid_G", "bench", "image", size=256, block=8) * 2 - 1
    coarse = rule.blocks("hybrid_G", "bench", "coarse", size=256, block=16) * 2 - 1
    mask = torch.zeros(1, 1, 256, 256)
    mask[:, :, 93:171, 66:139] = 1
    hole = shrink_mask(mask)
    features = rule.vector("hybrid_G", "bench", "features", (1, 1024, 32, 32), low=0.0)
    quick = quicken(net)
    ways: dict[str, Callable[[], object]] = {
        "rewritten": lambda: quick(image, coarse, mask),
        "layers": lambda: net(image, coarse, mask),
        "assembly_official": lambda: SelfAssembly("official")(features, hole),
        "assembly_paper": lambda: SelfAssembly("paper")(features, hole),
    }
    times: dict[str, list[tuple[float, float]]] = {}
    for name, work in ways.items():
        work()
        times[name] = [timed(work) for _ in range(repeats)]
    figures = {"hidden_cells": float(hole.sum()), "threads": float(torch.get_num_threads())}
    for name, spent in times.items():
        walls, cpus = zip(*spent, strict=True)
        figures |= {f"{name}_wall_s": statistics.median(walls), f"{name}_best_wall_s": min(walls)}
        figures |= {f"{name}_cpu_s": statistics.median(cpus)}
    difference = (quick(image, coarse, mask) - net(image, coarse, mask)).abs().max()
    return figures | {"difference": float(difference), "load": os.getloadavg()[0], "aim_s": AIM_SECONDS}


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    figures = measure(repeats=arguments.repeats)
    print(json.dumps({"bench": "latent_ofer_refiner", **{name: round(value, 6) for name, value in figures.items()}}))


if __name__ == "__main__":
    main()
