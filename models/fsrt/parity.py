"""Compare FSRT's arithmetic with stored outputs of the official code, under rule-made weights.

A folder of fixtures holds `WORD.npz` for each seed word and `state_dict_shapes.json` with the official keys in order.
The networks are prepared as for use (packed layers, keys and values once per source, chunks), so this is the code
people run. One whole frame is decoded, which takes most of the time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.errors import BadInput
from models.fsrt import rule
from models.fsrt.decoder import Memory, PixelDecoder, decode_in_chunks
from models.fsrt.encoder import SetLatentEncoder
from models.fsrt.expression_encoder import ExpressionEncoder
from models.fsrt.keypoints import DetectedKeypoints, KeypointDetector
from models.fsrt.motion import Motion, RetargetOptions, best_frame, retarget
from models.fsrt.official import CHUNK_ON_CPU, prepare_decoder, prepare_encoder, to_grid
from models.fsrt.posenc import encode_keypoints, encode_pixels, pixel_grid
from models.parity import ArrayCheck, compare

PICTURES = ("src0", "src1", "drv0", "drv1", "drv2")
MODULES: dict[str, Callable[[], nn.Module]] = {
    "kp_detector": KeypointDetector,
    "expression_encoder": ExpressionEncoder,
    "encoder": SetLatentEncoder,
    "decoder": PixelDecoder,
    "decoder_small": PixelDecoder.small,
}
COLOUR_TOLERANCE = 2e-4
"""For colours; below it lies ten times the noise of float32, above it the smallest mistake that could be made."""
TOLERANCES = {
    "best_frame": 0.0,
    "down_slice": 2e-6,
    "down_weight": 1e-6,
    "expr": 5e-5,
    "feature_map_slice": 2e-5,
    "heatmap_max": 1e-5,
    "heatmap_slice": 1e-5,
    "hidden_slice": 2e-4,
    "image_mean": 1e-6,
    "image_slice": 1e-6,
    "kp": 1e-5,
    "kp_rel": 1e-5,
    "kp_rel_adapt": 2e-5,
    "posenc": 5e-5,
    "query_slice": 1e-4,
    "resize_down_s8": 1e-4,
    "resize_up_s8": 1e-4,
    "tok1_slice": 1e-4,
    "weight_head": 1e-6,
    "z1_mean_std": 1e-4,
    "z1_slice": 4e-4,
    "z1_token_norm": 1e-3,
    "z2_slice": 4e-4,
}
Arrays = Iterator[tuple[str, Any]]


@dataclass(frozen=True, eq=False)
class Workbench:
    """Rule-made networks and pictures of one word; each is made when it is first asked for."""

    word: str

    @cached_property
    def pictures(self) -> Tensor:
        """(5, 3, 256, 256)"""
        return torch.stack([torch.from_numpy(rule.picture(self.word, name)).permute(2, 0, 1) for name in PICTURES])

    @cached_property
    def detector(self) -> KeypointDetector:
        """The keypoint detector."""
        return rule.fill(KeypointDetector(), self.word, "kp_detector")

    @cached_property
    def detected(self) -> DetectedKeypoints:
        """What it finds in the five pictures."""
        return self.detector(self.pictures)

    @cached_property
    def expressions(self) -> Tensor:
        """(5, 256)"""
        return rule.fill(ExpressionEncoder(), self.word, "expression_encoder")(self.detected)

    @cached_property
    def encoder(self) -> SetLatentEncoder:
        """The encoder as used."""
        encoder = rule.fill(SetLatentEncoder(), self.word, "encoder")
        prepare_encoder(encoder)
        return encoder

    @cached_property
    def latent(self) -> Tensor:
        """(1, 1024, 768) of the first source."""
        return self._encode(1)

    @cached_property
    def latent_of_two(self) -> Tensor:
        """(1, 2048, 768) of both sources."""
        return self._encode(2)

    def _encode(self, sources: int) -> Tensor:
        keypoints, expressions = self.detected.points[None, :sources], self.expressions[None, :sources]
        return self.encoder(self.pictures[None, :sources], keypoints, expressions)

    @cached_property
    def decoder(self) -> PixelDecoder:
        """The normal decoder as used."""
        return self._decoder(PixelDecoder(), "decoder")

    @cached_property
    def small_decoder(self) -> PixelDecoder:
        """The small decoder as used."""
        return self._decoder(PixelDecoder.small(), "decoder_small")

    def _decoder(self, decoder: PixelDecoder, module: str) -> PixelDecoder:
        rule.fill(decoder, self.word, module)
        prepare_decoder(decoder)
        return decoder

    @cached_property
    def memory(self) -> Memory:
        """The first source, remembered by the normal decoder."""
        return self.decoder.remember(self.latent)

    @cached_property
    def memory_of_two(self) -> Memory:
        """Both sources, remembered by the normal decoder."""
        return self.decoder.remember(self.latent_of_two)

    @cached_property
    def motion(self) -> Motion:
        """The three driving pictures as a clip."""
        return Motion(self.detected.points[2:].numpy(), self.expressions[2:].numpy(), frames_per_second=25.0)

    def retargeted(self, options: RetargetOptions, *, frames: slice = slice(None)) -> Motion:
        """The clip, or some of its frames, taken over by the first source."""
        motion = Motion(self.motion.keypoints[frames], self.motion.expressions[frames], frames_per_second=25.0)
        source, expression = self.detected.points[0].numpy(), self.expressions[0].numpy()
        return retarget(motion, keypoints=source, expression=expression, options=options)

    def colours(
        self,
        motion: Motion,
        *,
        pixels: Tensor,
        decoder: PixelDecoder | None = None,
        memory: Memory | None = None,
    ) -> Tensor:
        """Colours (T, h, w, 3) of pixels (h, w, 2) for each frame of a motion."""
        frames = zip(motion.keypoints, motion.expressions, strict=True)
        colours = [
            decode_in_chunks(
                decoder or self.decoder,
                memory or self.memory,
                keypoints=torch.from_numpy(keypoints)[None],
                expressions=torch.from_numpy(expression)[None],
                pixels=pixels.flatten(0, 1),
                chunk=CHUNK_ON_CPU,
            )
            for keypoints, expression in frames
        ]
        return torch.cat(colours).unflatten(1, pixels.shape[:2])


def _keypoint_arrays(bench: Workbench, stored: dict[str, np.ndarray]) -> Arrays:
    pictures = bench.pictures.permute(0, 2, 3, 1)
    yield "image_slice", pictures[:, ::64, ::64]
    yield "image_mean", pictures.double().mean(dim=(1, 2))
    for key in stored:
        group, _, name = key.partition("/")
        if group == "weight_head":
            module, _, parameter = name.partition(".")
            shape = MODULES[module]().state_dict()[parameter].shape
            yield key, rule.tensor(bench.word, name, shape).ravel()[: stored[key].size]
    yield "down_weight", bench.detector.down.weight[0, 0]
    yield "down_slice", bench.detector.down(bench.pictures)[:, :, ::8, ::8]
    yield "kp", bench.detected.points
    yield "heatmap_slice", bench.detected.heatmaps[:, :, ::7, ::7]
    yield "heatmap_max", bench.detected.heatmaps.amax(dim=(2, 3))
    yield "feature_map_slice", bench.detected.features[:, ::5, ::8, ::8]
    for name, picture, size in (("down", "resize_a", (300, 200)), ("up", "resize_b", (90, 140))):
        resized = to_grid(rule.picture_bytes(bench.word, picture, height=size[0], width=size[1]))
        yield f"resize_{name}_s8", resized.permute(1, 2, 0)[::8, ::8]


def _expression_arrays(bench: Workbench, stored: dict[str, np.ndarray]) -> Arrays:
    yield "expr", bench.expressions


def _encoder_arrays(bench: Workbench, stored: dict[str, np.ndarray]) -> Arrays:
    coordinates = torch.from_numpy(stored["posenc_coords"])
    keypoints = encode_keypoints(bench.detected.points[0]).expand(len(coordinates), -1)
    yield "posenc", torch.cat((keypoints, encode_pixels(coordinates)), dim=1)
    tokens = bench.encoder.tokens(bench.pictures[:1], bench.detected.points[:1], bench.expressions[:1])
    yield "tok1_slice", tokens[0, ::64, ::24]
    latent = bench.latent[0]
    yield "z1_slice", latent[::64, ::24]
    yield "z1_token_norm", latent.norm(dim=1)
    yield "z1_mean_std", torch.stack((latent.double().mean(), latent.double().std(correction=0)))
    yield "z2_slice", bench.latent_of_two[0, ::64, ::24]


def _decoder_arrays(bench: Workbench, stored: dict[str, np.ndarray]) -> Arrays:
    some = pixel_grid(stride=16, offset=8)
    gather = bench.decoder.allocation_transformer
    last = gather.condition(bench.detected.points[-1:], bench.expressions[-1:])
    quarter = some.flatten(0, 1)[::4]
    yield "query_slice", gather.queries(last, quarter)[0, :, ::8]
    yield "hidden_slice", gather(bench.memory, last, quarter)[0, :, ::8]
    yield "rgb_abs", bench.colours(bench.motion, pixels=some).flatten(1, 2)
    yield "rgb_abs_2src", bench.colours(bench.motion, pixels=some, memory=bench.memory_of_two).flatten(1, 2)
    small = bench.small_decoder
    memory = small.remember(bench.latent)
    yield "rgb_small_abs", bench.colours(bench.motion, pixels=some, decoder=small, memory=memory).flatten(1, 2)
    frame = Motion(bench.motion.keypoints[1:2], bench.motion.expressions[1:2], frames_per_second=25.0)
    colours = bench.colours(frame, pixels=pixel_grid())[0]
    yield "full_abs_drv1_s4", colours[2::4, 1::4]
    yield "full_abs_drv1_blockmean", colours.double().view(16, 16, 16, 16, 3).mean(dim=(1, 3))


def _motion_arrays(bench: Workbench, stored: dict[str, np.ndarray]) -> Arrays:
    some = pixel_grid(stride=16, offset=8)
    for name, adapt_scale in (("rel", False), ("rel_adapt", True)):
        motion = bench.retargeted(RetargetOptions(mode="relative", adapt_scale=adapt_scale))
        yield f"kp_{name}", motion.keypoints
        yield f"rgb_{name}", bench.colours(motion, pixels=some).flatten(1, 2)
    motion = bench.retargeted(RetargetOptions(mode="relative", adapt_scale=True), frames=slice(0, 3, 2))
    preview = pixel_grid(stride=8, offset=4)
    yield "anim_2src_rel_adapt_s8", bench.colours(motion, pixels=preview, memory=bench.memory_of_two).clamp(0, 1)
    source, *driver = rule.landmark_sets(bench.word, 9)
    orders = ([driver[(index + turn) % 8] for index in range(8)] for turn in range(8))
    yield "best_frame", np.array([best_frame(source, order) for order in orders])


PARTS: dict[str, tuple[tuple[str, ...], Callable[[Workbench, dict[str, np.ndarray]], Arrays]]] = {
    "kp": (("kp_detector",), _keypoint_arrays),
    "expr": (("expression_encoder",), _expression_arrays),
    "encoder": (("encoder",), _encoder_arrays),
    "decoder": (("decoder", "decoder_small"), _decoder_arrays),
    "motion": ((), _motion_arrays),
}


def key_check(module: str, official: dict[str, Any]) -> ArrayCheck:
    """Count differences between our state dict and the official one: names, their order, shapes and types."""
    ours = [(key, list(value.shape), str(value.dtype)) for key, value in MODULES[module]().state_dict().items()]
    theirs = [(key, entry["shape"], f"torch.{entry['dtype']}") for key, entry in official["keys"].items()]
    different = sum(a != b for a, b in zip(ours, theirs, strict=False)) + abs(len(ours) - len(theirs))
    return ArrayCheck(f"keys/{module}", float(different), 0.0, f"{len(ours)} keys")


def checks(fixtures: Path, *, seed: str, only: str | None = None) -> Iterator[ArrayCheck]:
    """Yield a check for each stored array of a seed word; `only` is kp, expr, encoder, decoder or motion.

    An array that no part knows is a failed check. Raises BadInput for an unknown part or a word without fixtures.
    """
    if only is not None and only not in PARTS:
        raise BadInput(f"no part is called {only!r}; there are {', '.join(PARTS)}")
    path = fixtures / f"{seed}.npz"
    if not path.is_file():
        words = sorted(file.stem for file in fixtures.glob("*.npz"))
        raise BadInput(f"{path} is not there; the words with fixtures here are {', '.join(words) or 'none'}")
    with np.load(path, allow_pickle=False) as archive:
        stored = {key: archive[key] for key in archive.files}
    official = json.loads((fixtures / "state_dict_shapes.json").read_text())
    seen = {"posenc_coords"}
    bench = Workbench(seed)
    for part in PARTS if only is None else (only,):
        modules, arrays = PARTS[part]
        yield from (key_check(module, official[module]) for module in modules)
        for name, ours in _without_gradients(arrays(bench, stored)):
            seen.add(name)
            tolerance = TOLERANCES.get(name.partition("/")[0], COLOUR_TOLERANCE)
            yield compare(name, np.asarray(ours), stored[name], tolerance=tolerance)
    if only is None:
        yield from (ArrayCheck(name, float("inf"), 0.0, "not compared") for name in stored if name not in seen)


def _without_gradients(arrays: Arrays) -> Arrays:
    """Step through a part in inference mode, which must not be left open between two steps."""
    while True:
        with torch.inference_mode():
            step = next(arrays, None)
        if step is None:
            return
        yield step
