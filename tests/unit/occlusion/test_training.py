"""The recipes on a handful of made faces: a few steps run, losses have gradients, figures are figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models import cards, registry
from models.errors import BadInput
from models.latent_ofer.occluders import HELD_OUT_KINDS
from models.occlusion.diffusion import FaceDiffusion
from models.occlusion.evaluation import cases, evaluate_occlusion, scores
from models.occlusion.reader import OcclusionReader
from models.occlusion.refiner import Refiner
from models.occlusion.shaped import ShapedPrior
from models.occlusion.sheet import contact_sheet
from models.training import diffusion, mae, ofer, refiner, shaped_prior, svdd
from models.training.data import held_out, read_faces, split
from models.training.dfc_vae import face_ruler
from models.training.loop import Batch
from models.training.occlusion_crops import Faces, MaskedCrops, draw_masks, draw_shape, patches_hidden
from tests.unit.occlusion.conftest import average_face, small_autoencoder

SHIPPED = ("mae", "svdd", "refiner", "shaped_prior", "ofer")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen made pictures with landmarks, some of people held out."""
    folder = tmp_path_factory.mktemp("faces")
    rng, count = np.random.default_rng(0), 16
    points = []
    unseen = [f"p{number}" for number in range(200) if held_out(f"made/p{number}")]
    names = [f"q{row}" for row in range(count - 5)] + unseen[:5]
    for row in range(count):
        noise = rng.integers(30, 225, (12, 12, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f"{row}.png"), cv2.resize(noise, (256, 256), interpolation=cv2.INTER_CUBIC))
        points.append(average_face() * rng.uniform(70, 80) + np.array([128, 128, 0]))
    np.savez(
        folder / "labels.npz",
        path=np.array([f"{row}.png" for row in range(count)]),
        identity=np.array(names),
        source=np.array(["made"] * count),
        landmarks=np.array(points, np.float32),
        blendshapes=rng.random((count, 52)).astype(np.float32),
    )
    assert len(split(read_faces(folder))[1]) >= 5
    return folder


def test_batches_hide_as_much_as_they_say(data: Path) -> None:
    stream = iter(MaskedCrops(read_faces(data), grid=12, batch=4, seed=1, masks=12))
    for _ in range(4):
        batch = next(stream)
        counts = batch["hidden"].sum(1)
        assert batch["pixels"].shape == (4, 3, 120, 120) and (counts == counts[0]).all()


def test_masks_are_compact_and_the_same_again(data: Path) -> None:
    faces = Faces(read_faces(data))
    masks = draw_masks(faces, count=6, seed=3)
    np.testing.assert_array_equal(masks, draw_masks(faces, count=6, seed=3))
    assert masks.any((1, 2)).all() and patches_hidden(masks, grid=12).shape == (6, 144)


def test_the_autoencoder_learns_a_little(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, training = small_autoencoder(), read_faces(data)
    batch = next(iter(MaskedCrops(training, grid=12, batch=4, seed=1, masks=8)))
    optimiser = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 3e-3)
    seen = []
    for _ in range(12):
        loss = torch.stack(list(mae.losses(network, batch).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen.append(float(loss.detach()))
    assert seen[-1] < seen[0]
    crops, hidden = mae.held_crops(split(training)[1], grid=12)
    measured = mae.measure(network.eval(), crops, hidden)
    assert all(np.isfinite(value) for value in measured.values())


def test_refiner_and_diffusion_have_gradients_everywhere(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    batch = next(iter(refiner.HoledCrops(read_faces(data), batch=2, seed=1, masks=4)))
    autoencoder = small_autoencoder()
    guesses = refiner.GuessedCrops(autoencoder, iter([batch]), count=2)
    rows: Batch = next(guesses.stream(batch=2, seed=0))
    net = Refiner(widths=(8, 8, 8), latent_width=24)
    torch.nn.init.normal_(net.leave.weight, std=0.1)
    taps = refiner.TrunkTaps(face_ruler().trunk, blocks=refiner.FACE_BLOCKS)
    torch.stack(list(refiner.losses(taps)(net, rows).values())).sum().backward()
    assert net.enter.weight.grad is not None and net.enter.weight.grad.abs().sum() > 0
    noisy = FaceDiffusion(widths=(16, 16, 32))
    torch.nn.init.normal_(noisy.unet.conv_out.weight, std=0.1)
    crops = diffusion.gather(tmp_path, autoencoder, iter([batch]), count=2, size=60)
    modes = diffusion.ModesOfCrops(crops, autoencoder.prior, device="cpu")
    diffusion.calibrate(noisy, crops, modes)
    assert float(noisy.width) > 0 and float(noisy.rest) > 0
    small_rows = next(crops.stream(batch=2, seed=0))
    torch.stack(list(diffusion.losses(modes)(noisy, small_rows).values())).sum().backward()
    assert noisy.expression.weight.grad is not None and noisy.unet.conv_in.weight.grad.abs().sum() > 0


def test_a_patch_changes_only_what_its_mask_says() -> None:
    rng = np.random.default_rng(0)
    pixels, other = rng.integers(0, 255, (2, 120, 120, 3)).astype(np.uint8)
    for _ in range(12):
        shape = draw_shape(120, rng)
        image, mask = svdd.patched(pixels, other, shape, rng)
        np.testing.assert_array_equal(image[~mask], pixels[~mask])
        assert mask[shape].mean() > 0.9 and image.dtype == np.uint8


def test_a_told_detector_tells_what_it_was_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shares = np.zeros((40, 12, 12), np.float32)
    for row, (top, left) in enumerate(rng.integers(0, 8, (40, 2))):
        shares[row, top : top + 5, left : left + 5] = 1
    shares = shares.reshape(40, 144)
    features = torch.from_numpy(rng.normal(0, 1, (40, 144, 12)).astype(np.float32) + 3 * shares[..., None])
    patches = svdd.Patches(features, shares, ("",) * 40)
    network = svdd.train(patches, told=True, out=tmp_path, minutes=0.08, resume=False)
    svdd.lay_radius(network, patches)
    figures = svdd.scores(svdd.distances(network, patches) > float(network.radius), shares)
    assert figures["balanced_accuracy"] > 0.9


def test_the_recogniser_learns_from_readings_of_the_chain(data: Path, reader: OcclusionReader, tmp_path: Path) -> None:
    training, held = split(read_faces(data))
    readings = ofer.draw(reader, training, count=6, seed=1)
    unseen = ofer.draw_held(reader, held, seed=1)
    network = ofer.train(reader, readings, unseen, out=tmp_path, minutes=0.03, resume=False)
    figures = ofer.measure(ofer.Reading(network, reader.networks.expression), unseen)
    assert set(figures) == {f"{a}_{b}" for a in ("occluded", "completed", "joined") for b in ("distance", "agreement")}
    assert len(set(network.relevant.tolist())) == len(network.relevant)


def test_the_shaped_prior_is_laid_and_measured(data: Path, reader: OcclusionReader) -> None:
    training, held = split(read_faces(data))
    network = ShapedPrior(components=4)
    torch.manual_seed(0)
    shaped_prior.lay(network, Faces(training), count=24, shapes=10)
    network.share.fill_(0.5)
    chain = OcclusionReader(replace(reader.networks, shaped=network), backend="small", device=torch.device("cpu"))
    share = shaped_prior.fitted_share(chain, Faces(training), count=6)
    assert 0 <= share <= 1 and share == shaped_prior.fitted_share(chain, Faces(training), count=6)
    figures = shaped_prior.measure(chain, held)
    assert set(figures) == {"plain_psnr", "shaped_psnr", "hole_psnr"} and np.isfinite(list(figures.values())).all()
    assert figures["hole_psnr"] > min(figures["plain_psnr"], figures["shaped_psnr"])  # errors of both partly cancel


def test_only_unseen_kinds_are_measured(data: Path, reader: OcclusionReader) -> None:
    rows = list(cases(read_faces(data), size=reader.size, seed=0, most=20))
    assert {one.kind for one in rows} == set(HELD_OUT_KINDS)
    for one in rows:
        off = np.abs(one.crop.pixels.astype(int) - one.clean)[~one.mask]
        assert one.mask.any() and off.max() <= 1


def test_the_evaluation_prints_what_was_asked(data: Path, reader: OcclusionReader) -> None:
    told = evaluate_occlusion(data, people="all", most=4, reader=reader)
    assert told["cases"] == 4 and set(told["filling"]) == {"mien", "telea", "navier_stokes", "mean_face", "diffusion"}
    assert told["detection"]["by_kind"] and 0 <= told["reading"]["occluded_agreement"] <= 1
    assert told["milliseconds"]["all"] > 0
    with pytest.raises(BadInput):
        evaluate_occlusion(data, people="some", reader=reader)


def test_scores_of_a_perfect_and_a_blind_detector() -> None:
    hidden = np.zeros((2, 144), bool)
    hidden[:, :20] = True
    assert scores(hidden, hidden) == {"balanced_accuracy": 1.0, "precision": 1.0, "recall": 1.0}
    assert scores(np.zeros_like(hidden), hidden)["balanced_accuracy"] == 0.5


def test_a_sheet_shows_generated_faces_only(data: Path, reader: OcclusionReader, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no generated face"):
        contact_sheet(data, tmp_path / "sheet.jpg", reader=reader)


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_is_small_and_measured(name: str) -> None:
    card = cards.all_cards()[name]
    assert card.bytes <= 15e6 and card.figures and card.recipe == f"mien train {name} --data DATA"
    cards.check_weight(card)


def test_the_chain_is_small_and_whole() -> None:
    sizes = {name: card.bytes for name, card in cards.all_cards().items()}
    assert sum(sizes[name] for name in SHIPPED) <= 35e6 and sizes.get("diffusion", 0) <= 12e6
    there = registry.load("occlusion")
    assert next(iter(there.methods)) == "mien" and there.networks.detector and there.networks.recogniser
    assert ("diffusion" in there.methods) == ("diffusion" in sizes)
