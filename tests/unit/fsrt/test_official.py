"""From pictures to pictures, with rule-made weights."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from models.errors import BadInput, Cancelled, MissingWeights
from models.fsrt import rule
from models.fsrt.checkpoints import KEYPOINTS_FILE, TWO_SOURCES_FILE
from models.fsrt.decoder import PixelDecoder
from models.fsrt.encoder import SetLatentEncoder
from models.fsrt.expression_encoder import ExpressionEncoder
from models.fsrt.keypoints import KeypointDetector
from models.fsrt.motion import RetargetOptions, retarget
from models.fsrt.official import EncodedSource, OfficialFSRT, to_grid
from models.types import Image

WORD = "unit"


@pytest.fixture(scope="module")
def fsrt(detector: KeypointDetector, expression_encoder: ExpressionEncoder, encoder: SetLatentEncoder) -> OfficialFSRT:
    small = rule.fill(PixelDecoder.small(), WORD, "decoder_small")
    return OfficialFSRT(*copy.deepcopy((detector, (expression_encoder, encoder, small))))


@pytest.fixture(scope="module")
def pictures(photo: Image) -> list[Image]:
    face = photo[0:256, 96:352]
    return [face, face[:, ::-1], np.ascontiguousarray(photo[20:220, 110:310])]


@pytest.fixture(scope="module")
def source(fsrt: OfficialFSRT, pictures: list[Image]) -> EncodedSource:
    return fsrt.encode_source(pictures[:1])


def test_a_preview_is_a_small_picture_and_the_same_every_time(
    fsrt: OfficialFSRT, source: EncodedSource, pictures: list[Image]
) -> None:
    reading = fsrt.read(pictures[1])
    preview = fsrt.render(source, reading, stride=8)
    assert preview.shape == (32, 32, 3) and preview.dtype == np.uint8
    assert np.array_equal(preview, fsrt.render(source, reading, stride=8))
    assert preview.std() > 5


def test_driver_and_source_both_change_the_picture(
    fsrt: OfficialFSRT, source: EncodedSource, pictures: list[Image]
) -> None:
    first, second = (fsrt.render(source, fsrt.read(picture), stride=16).astype(int) for picture in pictures[1:])
    assert np.abs(first - second).mean() > 1
    other = fsrt.encode_source(pictures[2:])
    assert np.abs(fsrt.render(other, fsrt.read(pictures[1]), stride=16) - first).mean() > 1


def test_two_sources_give_twice_the_memory(fsrt: OfficialFSRT, pictures: list[Image]) -> None:
    both = fsrt.encode_source(pictures[:2])
    assert both.keypoints.shape == (2, 10, 2) and both.expressions.shape == (2, 256)
    assert [keys.shape[2] for keys, _ in both.memory] == [2048, 2048]
    assert fsrt.render(both, fsrt.read(pictures[2]), stride=32).shape == (8, 8, 3)


def test_a_clip_is_read_and_played_by_the_source(
    fsrt: OfficialFSRT, source: EncodedSource, pictures: list[Image]
) -> None:
    motion = fsrt.read_clip(iter(pictures[1:]), frames_per_second=12.5)
    assert len(motion) == 2 and motion.frames_per_second == 12.5
    followed = retarget(
        motion, keypoints=source.keypoints[0], expression=source.expressions[0], options=RetargetOptions()
    )
    frames = list(fsrt.animate(source, followed, stride=32))
    assert len(frames) == 2 and not np.array_equal(frames[0], frames[1])


def test_work_can_be_stopped_within_a_frame(fsrt: OfficialFSRT, source: EncodedSource, pictures: list[Image]) -> None:
    shares: list[float] = []

    def stop(share: float) -> None:
        shares.append(share)
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        fsrt.render(source, fsrt.read(pictures[1]), stride=4, on_progress=stop)
    assert shares == [0.5]


def test_half_precision_gives_nearly_the_same_preview(
    fsrt: OfficialFSRT,
    source: EncodedSource,
    pictures: list[Image],
    detector: KeypointDetector,
    expression_encoder: ExpressionEncoder,
    encoder: SetLatentEncoder,
) -> None:
    small = rule.fill(PixelDecoder.small(), WORD, "decoder_small")
    half = OfficialFSRT(*copy.deepcopy((detector, (expression_encoder, encoder, small))), precision="bfloat16")
    ours = half.render(half.encode_source(pictures[:1]), half.read(pictures[1]), stride=16).astype(int)
    assert 0 < np.abs(ours - fsrt.render(source, fsrt.read(pictures[1]), stride=16)).mean() < 4


def test_pictures_are_resized_to_the_grid_and_checked(photo: Image) -> None:
    grid = to_grid(photo[:300, :200])
    assert grid.shape == (3, 256, 256) and grid.dtype == torch.float32
    assert 0 <= float(grid.min()) and float(grid.max()) <= 1
    exact = to_grid(photo[:256, :256])
    assert torch.allclose(exact, torch.from_numpy(photo[:256, :256] / 255).permute(2, 0, 1).float())
    with pytest.raises(ValueError, match="RGB uint8"):
        to_grid(photo[..., 0])


def test_nothing_to_read_is_said(fsrt: OfficialFSRT) -> None:
    with pytest.raises(BadInput, match="at least one picture"):
        fsrt.encode_source([])
    with pytest.raises(BadInput, match="no frame"):
        fsrt.read_clip([], frames_per_second=25.0)


def test_weights_are_loaded_from_the_folder_or_named_as_missing(
    detector: KeypointDetector,
    expression_encoder: ExpressionEncoder,
    encoder: SetLatentEncoder,
    fsrt: OfficialFSRT,
    pictures: list[Image],
    tmp_path: Path,
) -> None:
    with pytest.raises(MissingWeights, match=KEYPOINTS_FILE):
        OfficialFSRT.load(tmp_path)
    save_file(detector.state_dict(), tmp_path / KEYPOINTS_FILE)
    with pytest.raises(MissingWeights, match=TWO_SOURCES_FILE):
        OfficialFSRT.load(tmp_path, sources=2)
    parts = {
        "encoder": encoder,
        "decoder": rule.fill(PixelDecoder.small(), WORD, "decoder_small"),
        "expression_encoder": expression_encoder,
    }
    flat = {f"{part}.{key}": value for part, network in parts.items() for key, value in network.state_dict().items()}
    save_file(flat, tmp_path / TWO_SOURCES_FILE)
    loaded = OfficialFSRT.load(tmp_path, sources=2)
    assert np.allclose(loaded.read(pictures[0]).expression, fsrt.read(pictures[0]).expression, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_gpu_gives_the_same_preview(
    fsrt: OfficialFSRT,
    source: EncodedSource,
    pictures: list[Image],
    detector: KeypointDetector,
    expression_encoder: ExpressionEncoder,
    encoder: SetLatentEncoder,
    precision: str,
) -> None:
    small = rule.fill(PixelDecoder.small(), WORD, "decoder_small")
    made = copy.deepcopy((detector, (expression_encoder, encoder, small)))
    on_gpu = OfficialFSRT(*made, device="cuda", precision=precision, compiled=precision != "float32")
    ours = on_gpu.render(on_gpu.encode_source(pictures[:1]), on_gpu.read(pictures[1]), stride=8).astype(int)
    assert np.abs(ours - fsrt.render(source, fsrt.read(pictures[1]), stride=8)).mean() < 4
