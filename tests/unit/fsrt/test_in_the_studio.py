"""FSRT's own networks behind the Reenact tab, on a clip, with rule-made weights added as a visitor adds them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from models import cards, registry, weights
from models.errors import BadInput, Cancelled
from models.fsrt import rule
from models.fsrt.decoder import PixelDecoder
from models.fsrt.encoder import SetLatentEncoder
from models.fsrt.expression_encoder import ExpressionEncoder
from models.fsrt.keypoints import KeypointDetector
from models.types import Image
from studio.services import reenact_exports, reenact_official, reenact_run
from studio.services.reenact import Performer, hold
from studio.services.reenact_driver import Driver, open_driver, read_whole, shelf_driver
from studio.services.reenact_exports import Made
from studio.services.reenact_gallery import calm_faces
from studio.services.reenact_motion import Options
from studio.services.reenact_official import (
    Studied,
    begin,
    check_wait,
    is_here,
    moved_by,
    network_for,
    official_plan,
    study,
)
from studio.services.reenact_run import Performance, Progress, perform
from tests.sounding_clip import write_sounding_clip

pytestmark = pytest.mark.skipif("fsrt_open" not in cards.all_cards(), reason="the weights fsrt_open are not there")
WORD = "unit"
DRAFT = Options(network="official", size=64)


@pytest.fixture(scope="module", autouse=True)
def brought(
    tmp_path_factory: pytest.TempPathFactory,
    detector: KeypointDetector,
    expression_encoder: ExpressionEncoder,
    encoder: SetLatentEncoder,
) -> Iterator[Path]:
    """Checkpoints as the authors save them, with the small decoder, checked and installed by `mien weights add`."""
    folder, target = tmp_path_factory.mktemp("brought"), tmp_path_factory.mktemp("weights")
    torch.save(detector.state_dict(), folder / "kp_detector.pt")
    parts = {
        "encoder": encoder,
        "expression_encoder": expression_encoder,
        "decoder": rule.fill(PixelDecoder.small(), WORD, "decoder_small"),
    }
    torch.save({name: part.state_dict() for name, part in parts.items()} | {"it": 7}, folder / "vox256.pt")
    before = registry.places()
    assert not is_here()
    weights.add("fsrt-keypoints", folder / "kp_detector.pt", target)
    weights.add("fsrt-vox256", folder / "vox256.pt", target)
    registry.load.cache_clear()
    registry.configure(device=before.device, weights_folders=(target, *before.weights_folders))
    assert is_here()
    yield target
    registry.load.cache_clear()
    registry.configure(device=before.device, weights_folders=before.weights_folders)


@pytest.fixture(scope="module")
def faces() -> list[Image]:
    found = [face.image for face in calm_faces()]
    if not found:
        pytest.skip("the made faces are not there; run `mien train appearance`")
    return found


@pytest.fixture(scope="module")
def performer(faces: list[Image]) -> Performer:
    return hold([faces[0]], name="made")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, faces: list[Image]) -> Path:
    """Six frames of a made face that moves to the right, with a tone; in the first there is no face."""
    path = tmp_path_factory.mktemp("clip") / "driver.mp4"
    face = np.asarray(Pillow.fromarray(faces[1]).resize((256, 256)))
    moved = [np.roll(face, 4 * number, 1) for number in range(1, 6)]
    return write_sounding_clip(path, [np.full_like(face, 90), *moved])


@pytest.fixture(scope="module")
def driver(clip: Path) -> Driver:
    return open_driver(clip, "driver.mp4")


@pytest.fixture(scope="module")
def studied(performer: Performer, driver: Driver) -> Studied:
    preview, found = study(performer, driver, DRAFT, None, mark=True, report=lambda *_: True)
    assert len(preview.frames) == 3 and preview.frames[0][1].shape == preview.frames[2][1].shape
    return found


@pytest.fixture(scope="module")
def made(performer: Performer, driver: Driver) -> Performance:
    steps = list(perform(performer, driver, DRAFT, mark=True, stopped=lambda: False))
    words = {step.words for step in steps if isinstance(step, Progress)}
    assert any(word.startswith("Drawing frame") for word in words)
    assert isinstance(steps[-1], Performance)
    return steps[-1]


def test_a_clip_becomes_a_film_with_rate_sound_and_mark(made: Performance, tmp_path: Path) -> None:
    assert (
        made.is_whole and len(made.reel) == 6 and made.moved.reference != 0
    )  # the frame without a face is passed over
    assert next(iter(made.reel)).image.shape == (64, 64, 3)
    file = tmp_path / "made.mp4"
    file.write_bytes(made.film)
    with av.open(str(file)) as container:
        assert container.streams.audio and "Synthetic" in container.metadata["comment"]
        assert float(container.streams.video[0].average_rate) == pytest.approx(10, rel=0.05)
    drawn = [frame.image.astype(int) for frame in made.reel]
    assert np.abs(drawn[5] - drawn[1]).mean() > 0.5  # it moves
    assert made.still.shape[:2] != (64, 64)  # it lies in the photo again


def test_its_motion_is_a_file_that_moves_only_these_networks(
    made: Performance, performer: Performer, tmp_path: Path
) -> None:
    (motion,) = [one for one in reenact_exports.carry_out(made, "motion") if isinstance(one, Made)]
    path = tmp_path / "motion.npz"
    path.write_bytes(motion.content)
    again = open_driver(path, "motion.npz")
    assert again.official is not None and len(again.times) == 6
    assert np.allclose(again.official.keypoints, made.motion.keypoints)
    assert "moves only them" in reenact_official.refusal(again, Options())
    preview, _ = study(performer, again, DRAFT, None, mark=False, report=lambda *_: True)
    assert len(preview.frames) == 3
    with pytest.raises(BadInput, match="off pixels"):
        study(performer, shelf_driver("smile"), DRAFT, None, mark=False, report=lambda *_: True)


def test_every_way_of_following(performer: Performer, driver: Driver, studied: Studied) -> None:
    *_, whole = read_whole(driver)
    source = studied.source
    motion = studied.motion
    seen = replace(whole, frames=driver.frames)

    def moved(**told: object) -> tuple[np.ndarray, np.ndarray, int | None]:
        found, reference = moved_by(performer, seen, motion, source, replace(DRAFT, **told))
        return found.keypoints, found.expressions, reference

    keypoints, expressions, reference = moved()
    assert reference is not None and driver.frames[reference].face is not None
    assert np.allclose(keypoints[reference], source.keypoints[0], atol=1e-5)
    assert np.allclose(expressions, motion.expressions)  # the expression is the driver's own, as FSRT has it
    assert np.array_equal(moved(mode="absolute")[0], motion.keypoints)
    assert not np.allclose(moved(adapt_scale=False)[0], keypoints)
    assert np.allclose(moved(part="expression")[0], source.keypoints[0])
    assert np.allclose(moved(part="pose")[1], source.expressions[0])
    half = moved(strength=0.5)[1]
    assert np.allclose(half, (expressions + source.expressions[0]) / 2, atol=1e-5)
    calm = moved(smoothing_s=0.6)[0]
    assert np.abs(np.diff(calm, axis=0)).sum() < np.abs(np.diff(keypoints, axis=0)).sum()
    assert moved(reference_s=driver.times[-1])[2] == len(motion) - 1


def test_what_was_read_is_kept_for_the_next_preview(
    performer: Performer, driver: Driver, studied: Studied, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(*_: object) -> None:
        raise AssertionError("read twice")

    monkeypatch.setattr(reenact_official, "encode", again)
    monkeypatch.setattr(reenact_official, "read", again)
    softer, _ = study(performer, driver, replace(DRAFT, strength=0.2), studied, mark=False, report=lambda *_: True)
    assert len(softer.frames) == 3


def test_more_photos_take_the_checkpoint_for_two(brought: Path, faces: list[Image], driver: Driver) -> None:
    both = hold([faces[0], np.ascontiguousarray(faces[0][:, ::-1])], name="made")
    assert network_for(2) == "fsrt-vox256"  # the only one that is here
    _, seen = study(both, driver, DRAFT, None, mark=False, report=lambda *_: True)
    assert seen.source.keypoints.shape == (2, 10, 2) and seen.source.memory[0][0].shape[2] == 2048
    two = brought / "fsrt_vox256_2source.safetensors"
    two.hardlink_to(brought / "fsrt_vox256.safetensors")
    assert network_for(2) == "fsrt-vox256-two-sources" and network_for(1) == "fsrt-vox256"
    assert network_for(2, half=True) == "fsrt-vox256-two-sources-half"
    two.unlink()


def test_it_can_be_stopped_at_any_time(performer: Performer, driver: Driver) -> None:
    with pytest.raises(Cancelled):
        study(performer, driver, DRAFT, None, mark=False, report=lambda *_: False)
    asked: list[int] = []

    def stopped() -> bool:
        asked.append(1)
        return len(asked) > 3

    *_, last = perform(performer, driver, DRAFT, mark=True, stopped=stopped)
    assert isinstance(last, Performance) and not last.is_whole and len(last.reel) < 6


def test_a_wait_beyond_reason_is_refused_before_it_begins(studied: Studied) -> None:
    assert studied.pixel_s > 0
    check_wait(studied, DRAFT, most_frames=6)
    check_wait(None, DRAFT, most_frames=1)  # without a preview nothing is known yet
    with pytest.raises(BadInput, match=r"at most 1 are drawn.*one takes about 65536.0 s.*20 minutes can be waited"):
        check_wait(replace(studied, pixel_s=1.0), replace(DRAFT, size=256), most_frames=6)
    with pytest.raises(BadInput, match=r"about 6 frames; at most 5 are drawn here at 64 x 64.*host allows no more"):
        check_wait(studied, DRAFT, most_frames=5)


def test_a_film_beyond_the_hosts_limit_is_refused_before_it_is_read(
    performer: Performer, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("the clip was read")

    monkeypatch.setattr(reenact_run, "read_whole", read)
    told: list[str] = []
    with pytest.raises(BadInput, match=r"about 6 frames; at most 4 are drawn here.*one takes about [\d.]+ m?s"):
        for step in perform(performer, driver, DRAFT, mark=True, stopped=lambda: False, most_frames=4):
            assert isinstance(step, Progress)
            told.append(step.words)
    assert "Measuring how long a frame takes" in told or "Encoding the face" in told


def test_a_clip_that_lies_about_its_length_is_counted(
    performer: Performer, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = begin(performer, driver, DRAFT, most_frames=6, report=lambda *_: True)
    assert begun.frame_s > 0
    *_, whole = read_whole(driver)
    with pytest.raises(BadInput, match="about 3 frames; at most 2"):
        official_plan(performer, whole, DRAFT, begun, most_frames=2, report=lambda *_: True)


def test_what_was_drawn_before_a_stop_is_a_film_and_the_time_left_is_told(
    performer: Performer, driver: Driver, tmp_path: Path
) -> None:
    drawn: list[Progress] = []

    def stopped() -> bool:
        return any(step.words.startswith("Drawing frame 3") for step in drawn)

    for step in perform(performer, driver, DRAFT, mark=True, stopped=stopped, most_frames=6):
        if isinstance(step, Progress):
            drawn.append(step)
    assert isinstance(step, Performance) and not step.is_whole and 2 <= len(step.reel) < 6
    lefts = [one.seconds_left for one in drawn if one.words.startswith("Drawing frame") and one.seconds_left]
    assert lefts and lefts[-1] < lefts[0] * 3
    file = tmp_path / "part.mp4"
    file.write_bytes(step.film)
    with av.open(str(file)) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(step.reel)


def test_half_precision_gives_nearly_the_same(performer: Performer, driver: Driver, studied: Studied) -> None:
    preview, _ = study(performer, driver, replace(DRAFT, half=True), studied, mark=False, report=lambda *_: True)
    exact, _ = study(performer, driver, DRAFT, studied, mark=False, report=lambda *_: True)
    apart = np.abs(preview.frames[1][1].astype(int) - exact.frames[1][1])
    assert 0 < apart.mean() < 4
