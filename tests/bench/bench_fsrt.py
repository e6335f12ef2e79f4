"""What a frame of FSRT's official shape costs on this machine, under rule-made weights.

    python -m tests.bench.bench_fsrt [--share 1] [--threads 1] [--word bench]

prints one JSON line. The plain arithmetic (fsrt_plain.py) and ours take turns, 32 rows at a time, so that both meet the
same load, and are timed in CPU-seconds, which do not count the time other programs take; wall time is
given too. `share` 0.125 decodes an eighth of the frame and multiplies.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from models.fsrt import rule
from models.fsrt.decoder import Memory, PixelDecoder, decode_in_chunks
from models.fsrt.encoder import SetLatentEncoder
from models.fsrt.expression_encoder import ExpressionEncoder
from models.fsrt.keypoints import KeypointDetector
from models.fsrt.official import CHUNK_ON_CPU, Precision, prepare_decoder, prepare_encoder
from models.fsrt.posenc import pixel_grid
from tests.bench import fsrt_plain

Result = TypeVar("Result")
BLOCK = 2 * fsrt_plain.CHUNK


@dataclass
class Clock:
    """CPU-seconds and wall seconds spent in some work."""

    cpu: float = 0.0
    wall: float = 0.0

    def run(self, work: Callable[[], Result]) -> Result:
        """Do the work and add its time."""
        cpu, wall = time.process_time(), time.perf_counter()
        result = work()
        self.cpu += time.process_time() - cpu
        self.wall += time.perf_counter() - wall
        return result


@dataclass(frozen=True, eq=False)
class Scene:
    """A source and a driving frame, read by rule-made networks."""

    latent: Tensor
    keypoints: Tensor
    expressions: Tensor
    costs: dict[str, float]


def peak_megabytes() -> float:
    """The most memory this process has held so far."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def read_scene(word: str) -> Scene:
    """Encode a source, read a driver, and note what each step costs."""
    detector = rule.fill(KeypointDetector(), word, "kp_detector")
    expression_encoder = rule.fill(ExpressionEncoder(), word, "expression_encoder")
    encoder = rule.fill(SetLatentEncoder(), word, "encoder")
    prepare_encoder(encoder)
    source, driver = (torch.from_numpy(rule.picture(word, name)).permute(2, 0, 1)[None] for name in ("src0", "drv0"))
    detector(source)  # the first call sets up the library's kernels
    clocks = {name: Clock() for name in ("keypoints", "expression", "source_encoding")}
    found = [clocks["keypoints"].run(partial(detector, picture)) for picture in (source, driver)]
    read = [clocks["expression"].run(partial(expression_encoder, one)) for one in found]
    latent = clocks["source_encoding"].run(partial(encoder, source[None], found[0].points[None], read[0][None]))
    costs = {f"{name}_cpu_s": clock.cpu / (1 if name == "source_encoding" else 2) for name, clock in clocks.items()}
    return Scene(latent, found[1].points, read[1], costs)


def made_decoder(word: str, precision: Precision, latent: Tensor) -> tuple[PixelDecoder, Memory]:
    """A decoder as used, and what it remembers of the source."""
    decoder = rule.fill(PixelDecoder(), word, "decoder")
    prepare_decoder(decoder, precision=precision)
    return decoder, decoder.remember(latent)


def ours(decoder: PixelDecoder, memory: Memory, *, scene: Scene, pixels: Tensor) -> Tensor:
    """Colours (P, 3) as Mien computes them."""
    return decode_in_chunks(
        decoder,
        memory,
        keypoints=scene.keypoints,
        expressions=scene.expressions,
        pixels=pixels,
        chunk=CHUNK_ON_CPU,
    )[0]


@torch.inference_mode()
def measure(*, word: str = "bench", share: float = 1.0) -> dict[str, float]:
    """Decode a share of one 256x256 frame in three ways, in turns, and return costs per whole frame and ratios."""
    scene = read_scene(word)
    makers = {name: made_decoder(word, name, scene.latent) for name in ("float32", "bfloat16")}
    pixels = pixel_grid().flatten(0, 1)
    blocks = pixels.split(BLOCK)[: max(1, round(share * len(pixels) / BLOCK))]
    done = sum(map(len, blocks)) / len(pixels)
    for made in makers.values():
        ours(
            *made, scene=scene, pixels=pixels[:CHUNK_ON_CPU]
        )  # set up the library's kernels, and reach our most memory
    peak = peak_megabytes()
    state = rule.fill(PixelDecoder(), word, "decoder").state_dict()
    driver = {"keypoints": scene.keypoints[0], "expression": scene.expressions[0]}
    ways: dict[str, Callable[..., Tensor]] = {
        "plain": partial(fsrt_plain.decode, state, scene.latent[0], **driver),
        **{name: partial(ours, *made, scene=scene) for name, made in makers.items()},
    }
    clocks = {name: Clock() for name in ways}
    results: dict[str, list[Tensor]] = {name: [] for name in ways}
    for block in blocks:
        for name, way in ways.items():
            results[name].append(clocks[name].run(partial(way, pixels=block)))
    plain = torch.cat(results["plain"])
    figures = {"share_of_frame": done, "threads": float(torch.get_num_threads()), **scene.costs}
    for name, clock in clocks.items():
        figures |= {f"{name}_cpu_s": clock.cpu / done, f"{name}_wall_s": clock.wall / done}
    for name in makers:
        difference = (torch.cat(results[name]) - plain).abs()
        figures |= {
            f"{name}_times_faster": clocks["plain"].cpu / clocks[name].cpu,
            f"{name}_max_difference": float(difference.max()),
            f"{name}_mean_difference": float(difference.mean()),
        }
    return figures | {"peak_mb_ours": peak, "peak_mb_with_plain": peak_megabytes()}


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--word", default="bench")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    figures = measure(word=arguments.word, share=arguments.share)
    print(json.dumps({"bench": "fsrt", **{name: round(value, 6) for name, value in figures.items()}}))


if __name__ == "__main__":
    main()
