"""A tiny inpainting pipeline, saved and loaded as a model of the Hub would be, fills holes; what is missing is said."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from models import registry
from models.errors import BadInput, BadWeights, Cancelled, MissingWeights
from models.occlusion import hub
from models.occlusion.hub import HubInpainting, load_inpainting
from models.occlusion.reader import OcclusionReader
from models.types import Face, Image
from studio.services import occlusion as service
from studio.services.loading import load_beside
from studio.services.occlusion import Effort
from studio.services.occlusion_exports import occlusion_record
from studio.services.occlusion_methods import HUB, method_called, missing, offered
from studio.services.occlusion_words import measured_words, ran
from studio.settings import WrongSetting, read_settings
from tests.tiny_inpainting import EDGE, write_tiny_pipeline

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for name in registry.HUB_EXTRA:
        pytest.importorskip(name, reason="the extra mien[hub-inpainting] is not installed")
    return write_tiny_pipeline(tmp_path_factory.mktemp("hub") / "tiny")


@pytest.fixture(scope="session")
def tiny(folder: Path) -> HubInpainting:
    return load_inpainting(str(folder), device=CPU, on_cpu=True)


@pytest.fixture
def named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The host has named the tiny model and lets it run on a CPU."""
    places = registry.Places("cpu", registry.places().weights_folders, str(folder), True)
    monkeypatch.setattr(registry, "_chosen", [places])
    load = registry.load
    load.cache_clear()
    yield folder
    load.cache_clear()


def picture_and_hole() -> tuple[Image, np.ndarray]:
    pixels = np.random.default_rng(0).integers(0, 255, (48, 48, 3)).astype(np.uint8)
    mask = np.zeros((48, 48), bool)
    mask[10:30, 12:40] = True
    return pixels, mask


def test_only_hidden_pixels_change_and_chance_comes_from_the_seed(tiny: HubInpainting) -> None:
    pixels, mask = picture_and_hole()
    first, second = tiny.fill(pixels, mask, steps=2, samples=2, seed=0)
    assert tiny.size == EDGE and first.shape == pixels.shape and first.dtype == np.uint8
    for one in (first, second):
        assert (one[~mask] == pixels[~mask]).all() and (one[mask] != pixels[mask]).any()
    assert (first != second).any()
    assert (tiny.fill(pixels, mask, steps=2, samples=1, seed=0)[0] == first).all()
    assert (tiny.fill(pixels, mask, steps=2, samples=1, seed=1)[0] != second).any()


def test_every_step_is_told_and_can_be_the_last(tiny: HubInpainting) -> None:
    pixels, mask = picture_and_hole()
    told: list[tuple[int, int]] = []
    tiny.fill(pixels, mask, steps=3, samples=2, seed=0, on_step=lambda *at: told.append(at) is None)
    assert told == [(done, 6) for done in range(1, 7)]
    told.clear()
    with pytest.raises(Cancelled):
        tiny.fill(pixels, mask, steps=3, samples=2, seed=0, on_step=lambda *at: told.append(at) is not None)
    assert told == [(1, 6)]
    assert len(tiny.fill(pixels, mask, steps=1, samples=1, seed=0)) == 1  # the one that was stopped is forgotten


def test_a_second_visitor_waits_and_may_leave(tiny: HubInpainting) -> None:
    pixels, mask = picture_and_hole()
    drawing, go_on = threading.Event(), threading.Event()

    def slow(_done: int, _total: int) -> bool:
        drawing.set()
        return go_on.wait(20)

    first = threading.Thread(target=lambda: tiny.fill(pixels, mask, steps=1, samples=1, seed=0, on_step=slow))
    first.start()
    assert drawing.wait(60)
    with pytest.raises(Cancelled, match="turn"):
        tiny.fill(pixels, mask, steps=1, samples=1, seed=0, on_step=lambda *_: False)
    go_on.set()
    first.join()


def test_a_model_that_withholds_its_pictures_is_said_to(tiny: HubInpainting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny, "_draw", lambda *_: None)
    with pytest.raises(BadInput, match="safety filter"):
        tiny.fill(*picture_and_hole(), steps=1, samples=2, seed=0)


def test_what_is_missing_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingWeights, match="MIEN_INPAINT_ON_CPU"):
        load_inpainting(str(folder), device=CPU, on_cpu=False)
    with pytest.raises(MissingWeights, match="'gone'"):
        load_inpainting(str(tmp_path / "gone"), device=CPU, on_cpu=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingWeights, match="empty cannot be had"):
        load_inpainting(str(tmp_path / "empty"), device=CPU, on_cpu=True)
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    index = json.loads((other / "model_index.json").read_text())
    (other / "model_index.json").write_text(json.dumps(index | {"_class_name": "DDPMPipeline"}))
    with pytest.raises(BadWeights, match="other cannot be used"):
        load_inpainting(str(other), device=CPU, on_cpu=True)
    monkeypatch.setattr(hub, "find_spec", lambda name: None)
    with pytest.raises(MissingWeights, match=r"transformers and accelerate.*mien\[hub-inpainting\]"):
        load_inpainting(str(folder), device=CPU, on_cpu=True)


def test_pickled_weights_are_not_opened(folder: Path, tmp_path: Path) -> None:
    pickled = tmp_path / "pickled"
    shutil.copytree(folder, pickled)
    weights = pickled / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_name("diffusion_pytorch_model.bin"))
    with pytest.raises(MissingWeights, match="pickled cannot be had"):
        load_inpainting(str(pickled), device=CPU, on_cpu=True)


def test_a_pipeline_that_takes_no_mask_is_refused() -> None:
    class Blind:
        def __call__(self, prompt: str) -> None:
            """Draw without a mask."""

    with pytest.raises(BadWeights, match="takes no callback_on_step_end, generator, image, mask_image"):
        HubInpainting(Blind(), name="blind")


def test_it_is_off_until_a_host_names_a_model() -> None:
    assert read_settings({}).inpaint_model == "" and not read_settings({}).inpaint_on_cpu
    assert HUB not in [method.name for method in offered()]
    told = next(method.how_to_add for method in missing() if method.name == HUB)
    assert "MIEN_INPAINT_MODEL" in told
    with pytest.raises(BadInput, match="Off until"):
        method_called(HUB)
    with pytest.raises(MissingWeights, match="MIEN_INPAINT_MODEL"):
        registry.load(registry.HUB_INPAINTING)
    assert read_settings({"MIEN_INPAINT_MODEL": "owner/name"}).inpaint_model == "owner/name"
    assert read_settings({"MIEN_INPAINT_MODEL": "~/models/x"}).inpaint_model == "~/models/x"
    with pytest.raises(WrongSetting, match="OWNER/NAME"):
        read_settings({"MIEN_INPAINT_MODEL": "just a name"})
    with pytest.raises(WrongSetting, match="MIEN_INPAINT_ON_CPU"):
        read_settings({"MIEN_INPAINT_ON_CPU": "perhaps"})


def test_without_a_gpu_a_named_model_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in registry.HUB_EXTRA:
        pytest.importorskip(name, reason="the extra mien[hub-inpainting] is not installed")
    monkeypatch.setattr(registry, "_chosen", [registry.Places("cpu", (), "owner/name", False)])
    assert HUB not in [method.name for method in offered()]
    assert "a GPU" in next(method.how_to_add for method in missing() if method.name == HUB)


def test_the_chain_draws_with_the_model_that_was_named(
    named: Path, reader: OcclusionReader, photo_and_face: tuple[Image, Face], monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = type(reader.networks)(**vars(reader.networks) | {"hub": lambda: registry.load(registry.HUB_INPAINTING)})
    chain = OcclusionReader(networks, backend="small-00000000", device=CPU)
    true_load = registry.load
    monkeypatch.setattr(registry, "load", lambda name: chain if name == "occlusion" else true_load(name))
    method = method_called(HUB)
    assert method.title.startswith(named.name) and "not Mien's" in method.what
    subject = service.subject_of(*photo_and_face, name="made")
    mask = np.zeros((chain.size, chain.size), bool)
    mask[40:70, 40:80] = True
    told: list[str] = []
    filled = service.draw_guesses(
        subject, mask, Effort(2, 2, 3), lambda words, _share: told.append(words) is None, method=HUB
    )
    assert told[0].startswith(f"Loading {named.name}") and told[-1] == "Drawing 2 guesses, step 4 of 4"
    assert len(filled.guess.samples) == 2 and filled.guess.method == HUB
    for one in filled.guess.samples:
        assert (one[~mask] == subject.crop.pixels[~mask]).all()
    assert ran(HUB, subject).startswith(f"{named.name}, not Mien's, under its own licence")
    assert "hidden part" in measured_words() and "hidden part" not in measured_words(HUB)
    assert occlusion_record(subject, filled)["model"] == named.name
    assert str(named.parent) not in json.dumps(occlusion_record(subject, filled))
    with pytest.raises(BadInput, match="button"):
        service.fill(subject, mask, method=HUB)


def test_loading_goes_on_when_a_visitor_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, loaded = threading.Event(), threading.Event()

    def load(_name: str) -> None:
        go_on.wait(20)
        loaded.set()

    monkeypatch.setattr(registry, "load", load)
    with pytest.raises(Cancelled):
        load_beside("large", lambda _words, _share: False, "Loading")
    go_on.set()
    assert loaded.wait(20)
    monkeypatch.setattr(registry, "load", lambda name: (_ for _ in ()).throw(BadWeights(f"{name} is broken")))
    with pytest.raises(BadWeights, match="large is broken"):
        load_beside("large", lambda _words, _share: True, "Loading")
