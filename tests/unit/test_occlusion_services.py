"""Behind the Occlusion tab: masks, truth, covers, files of all stages, and a folder on the command line."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from typer.testing import CliRunner

from models import cards, registry
from models.errors import BadInput, Cancelled
from models.latent_ofer.occluders import KINDS
from models.occlusion.results import Detection
from models.types import EMOTIONS, Image
from studio.cli import app
from studio.services import occlusion as service
from studio.services import occlusion_exports as exports
from studio.services.expression import read_photo
from studio.services.occlusion import Effort, Subject
from studio.services.occlusion_files import Wish, photos_in, unmask_files
from studio.services.occlusion_methods import METHODS, NEEDED, method_called, missing, offered
from studio.services.occlusion_pictures import (
    SHOWN,
    attention_picture,
    distance_picture,
    is_same,
    mask_layer,
    painted_mask,
    sheet,
)
from studio.services.occlusion_truth import (
    closed_words,
    hidden_error,
    hits,
    hole_psnr,
    hole_ssim,
    truth_facts,
    truth_of,
    truth_record,
    vector_words,
)
from studio.services.occlusion_words import measured_words

CHANCE = np.random.default_rng(0)


def blob(edge: int) -> np.ndarray:
    mask = np.zeros((edge, edge), bool)
    mask[edge // 3 : edge // 2, edge // 4 : edge // 2] = True
    return mask


@pytest.mark.parametrize("edge", [96, 120, 128, 224])
def test_a_mask_survives_being_painted(edge: int) -> None:
    mask = blob(edge)
    back = painted_mask(mask_layer(mask), edge)
    assert mask_layer(mask).shape == (SHOWN, SHOWN, 4)
    assert is_same(back, mask)
    thicker = mask.copy()
    thicker[edge // 2 : edge // 2 + 4, edge // 4 : edge // 2] = True
    assert not is_same(painted_mask(mask_layer(thicker), edge), mask)
    with pytest.raises(BadInput, match="paint"):
        painted_mask(np.zeros((8, 8, 3), np.uint8), edge)


def test_figures_of_a_hole_look_at_the_hole_alone() -> None:
    truth = CHANCE.integers(0, 255, (96, 96, 3)).astype(np.uint8)
    mask, outside = blob(96), truth.copy()
    outside[~mask] = 0
    assert hole_psnr(truth, outside, mask) == float("inf")
    worse, bad = truth.copy(), truth.copy()
    worse[mask] = np.clip(worse[mask].astype(int) + 10, 0, 255)
    bad[mask] = 255 - bad[mask]
    assert hole_psnr(truth, worse, mask) > hole_psnr(truth, bad, mask) + 10
    assert 1 >= hole_ssim(truth, worse, mask) > hole_ssim(truth, bad, mask)


def test_hits_count_patches_against_covered_pixels() -> None:
    hidden = np.zeros((120, 120), bool)
    hidden[:30, :60] = True  # 3 rows of 6 patches
    found = np.zeros((12, 12), bool)
    found[:3, :3] = True  # half of them
    found[11, 11] = True  # and one beside
    counted = hits(found, hidden)
    assert counted.recall == pytest.approx(0.5)
    assert counted.precision == pytest.approx(0.9)
    assert counted.balanced_accuracy == pytest.approx((0.5 + 125 / 126) / 2)


def test_landmark_error_is_that_of_hidden_points_only() -> None:
    clean = np.zeros((478, 3), np.float32)
    clean[:, :2] = CHANCE.uniform(10, 90, (478, 2))
    clean[468, :2], clean[473, :2] = (30, 40), (70, 40)  # the irises
    hidden = np.zeros((100, 100), bool)
    hidden[60:] = True
    found = clean.copy()
    found[clean[:, 1] >= 60.5, 0] += 4
    found[clean[:, 1] < 59, 0] += 50
    assert hidden_error(clean, found, hidden) == pytest.approx(0.1, rel=0.1)
    assert hidden_error(clean, None, hidden) is None
    assert hidden_error(clean, found, np.zeros((100, 100), bool)) is None


def test_words_for_what_was_won() -> None:
    assert closed_words(0.62) == "62 % closed"
    assert closed_words(-0.2) == "20 % further off"
    assert closed_words(None) == "little to win"


def test_pictures_of_the_stages_show_what_they_say() -> None:
    grey = np.full((120, 120, 3), 128, np.uint8)
    distances = np.full((12, 12), 0.2, np.float32)
    distances[6:, 6:] = 3
    heat = distance_picture(grey, distances, 1.0).astype(int)
    near, far = heat[40, 40], heat[300, 300]
    assert near[2] > near[0] and far[0] > far[2]  # blue is near, orange is far
    attention = np.zeros((12, 12), np.float32)
    attention[2, 2] = 1
    seen = attention_picture(grey, attention)
    assert seen[80, 80].mean() > seen[300, 300].mean() + 30
    assert sheet([("one", grey)] * 5, columns=4, edge=64).shape == (2 * 90, 256, 3)


def test_methods_without_files_say_where_to_get_them() -> None:
    assert {"telea", "navier_stokes", "mean_face"} <= {method.name for method in offered()}
    assert not set(offered()) & set(missing())
    for method in missing():
        assert "mien" in method.how_to_add
        with pytest.raises(BadInput, match="cannot run here"):
            method_called(method.name)
    with pytest.raises(BadInput, match="no method"):
        method_called("<script>")
    assert len({method.title for method in METHODS}) == len(METHODS)


def test_the_page_says_what_the_cards_say() -> None:
    known = cards.all_cards()
    if "svdd" not in known:
        pytest.skip("the shipped weights svdd are not there")
    share = known["svdd"].figures["told_balanced_accuracy"].value
    assert f"{share * 100:.0f} % of patches" in measured_words()


def test_the_diffusion_is_asked_for_what_it_can_do() -> None:
    with pytest.raises(BadInput, match="guesses"):
        Effort(samples=17)
    with pytest.raises(BadInput, match="steps"):
        Effort(steps=1000)


@pytest.fixture(scope="module")
def subject(photo: Image) -> Subject:
    absent = set(NEEDED) - set(cards.all_cards())
    if absent:
        pytest.skip(f"the shipped weights {', '.join(sorted(absent))} are not there")
    registry.load.cache_clear()
    face = read_photo(photo, name="astronaut.png").faces[0].face
    return service.subject_of(photo, face, name="astronaut.png")


@pytest.fixture(scope="module")
def masked(subject: Subject) -> Subject:
    return service.covered(subject, "medical_mask", seed=1)


def test_a_covered_face_is_found_guessed_and_measured(subject: Subject, masked: Subject) -> None:
    assert masked.cover is not None
    assert np.array_equal(masked.cover.clean_crop.pixels, subject.crop.pixels)
    assert 0.02 < masked.cover.mask.mean() < 0.6
    assert np.array_equal(masked.picture[~masked.cover.picture_mask], subject.picture[~masked.cover.picture_mask])
    mask = masked.cover.mask
    filled = service.fill(masked, mask)
    assert np.array_equal(filled.blended[~mask], masked.crop.pixels[~mask])
    assert np.abs(filled.blended[mask].astype(int) - masked.crop.pixels[mask]).mean() > 5
    changed = (filled.pasted != masked.picture).any(2)
    assert changed.any() and not changed[:40].any()
    truth = truth_of(masked, filled)
    assert truth is not None and truth_of(subject, service.fill(subject, mask)) is None
    assert truth.guess.psnr > truth.occluded.psnr
    assert {"psnr_db", "ssim", "landmark_error"} == set(truth_record(truth)["guess"])  # type: ignore[call-overload]
    assert len(truth_facts(truth)) == 6
    assert "Distance to the clean face" in vector_words(masked, filled)
    assert "cannot be known" in vector_words(subject, service.fill(subject, mask))


def test_every_plain_method_fills_the_same_hole(masked: Subject) -> None:
    assert masked.cover is not None
    mask = masked.cover.mask
    made = [service.fill(masked, mask, method=name).blended for name in ("telea", "navier_stokes", "mean_face")]
    assert all(np.array_equal(one[~mask], masked.crop.pixels[~mask]) for one in made)
    assert not np.array_equal(made[0], made[1]) and not np.array_equal(made[1], made[2])


def test_taking_the_cover_off_gives_the_face_back(subject: Subject, masked: Subject) -> None:
    again = service.covered(masked, "medical_mask", seed=2)
    assert again.cover is not None and np.array_equal(again.cover.clean_picture, subject.picture)
    assert np.array_equal(service.uncovered(again).picture, subject.picture)
    assert service.uncovered(subject) is subject
    with pytest.raises(BadInput, match="tomato"):
        service.covered(subject, "tomato")


def test_masks_that_cannot_be_used_are_refused_in_words(subject: Subject) -> None:
    edge = subject.crop.size
    with pytest.raises(BadInput, match="Nothing is hidden"):
        service.fill(subject, np.zeros((edge, edge), bool))
    with pytest.raises(BadInput, match="Nearly everything"):
        service.fill(subject, np.ones((edge, edge), bool))
    with pytest.raises(BadInput, match="mask is"):
        service.fill(subject, np.ones((8, 8), bool))
    with pytest.raises(BadInput, match="must match"):
        service.mask_of(np.zeros((100, 300, 3), np.uint8), subject)


def test_a_mask_drawn_on_the_photo_lands_on_the_face(subject: Subject) -> None:
    drawn = np.zeros((256, 256, 3), np.uint8)  # half the photo's size
    nose = subject.face.landmarks[4, :2] / 2
    drawn[int(nose[1]) - 8 : int(nose[1]) + 8, int(nose[0]) - 8 : int(nose[0]) + 8] = 255
    mask = service.mask_of(drawn, subject)
    x, y = np.round(subject.crop.landmarks[4, :2]).astype(int)
    assert mask[y, x] and 0.005 < mask.mean() < 0.2


def test_the_palette_shows_every_kind_on_this_face(subject: Subject) -> None:
    made = service.palette(subject)
    assert [name for name, _, _ in made] == list(KINDS)
    plain = made[0][2]
    assert sum(not np.array_equal(picture, plain) for _, _, picture in made) >= len(KINDS) - 1


def test_the_files_hold_every_stage_and_the_numbers(masked: Subject) -> None:
    assert masked.cover is not None
    filled = service.fill(masked, masked.cover.mask)
    with zipfile.ZipFile(io.BytesIO(exports.stages_zip(masked, filled))) as archive:
        names = set(archive.namelist())
        record = json.loads(archive.read("numbers.json"))
        blended = np.asarray(Pillow.open(io.BytesIO(archive.read("blended.png"))))
    stages = {"clean", "input", "distance_map", "mask", "mask_over", "coarse", "refined", "blended", "stages", "photo"}
    assert names == {f"{name}.png" for name in stages} | {"numbers.json"}
    assert np.array_equal(blended, filled.blended)
    assert set(record["before"]["emotions"]) == set(EMOTIONS) and len(record["after"]["vector"]) == 64
    assert record["truth"]["cover"] == "medical_mask" and "guess" in record["note"]
    rows = list(csv.DictReader(io.StringIO(exports.as_csv(exports.csv_rows(masked, filled)).decode())))
    assert [row["stage"] for row in rows] == ["before", "after"]
    assert float(rows[1]["happiness"]) == pytest.approx(record["after"]["emotions"]["happiness"], abs=1e-4)


def test_without_a_mask_there_is_only_the_reading(subject: Subject) -> None:
    record = exports.occlusion_record(subject, None)
    assert record["after"] is None and record["hidden"] == 0 and "method" not in record
    assert set(exports.all_pictures(subject, None)) == {"input", "distance_map"}


def test_the_diffusion_draws_differing_guesses_and_can_be_stopped(masked: Subject) -> None:
    if "diffusion" not in cards.all_cards():
        pytest.skip("the shipped weights diffusion are not there")
    assert masked.cover is not None
    steps: list[float | None] = []
    report = lambda _words, share: steps.append(share) is None  # noqa: E731
    filled = service.draw_guesses(masked, masked.cover.mask, Effort(2, 3, 1), report)
    assert steps == pytest.approx([1 / 3, 2 / 3, 1])
    one, other = filled.guess.samples
    assert not np.array_equal(one, other)
    assert np.array_equal(service.choosing(masked, filled, 1).blended, other)
    assert service.choosing(masked, filled, 7) is filled
    with pytest.raises(Cancelled):
        service.draw_guesses(masked, masked.cover.mask, Effort(2, 3, 1), lambda _words, _share: False)


def test_a_folder_is_unmasked_and_bad_files_are_named(masked: Subject, tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    (photos / "more").mkdir(parents=True)
    assert masked.cover is not None  # behind bars it is still found as a face
    Pillow.fromarray(service.covered(masked, "bars", seed=3).picture).save(photos / "more" / "covered.png")
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    Pillow.new("RGB", (200, 200), "gray").save(photos / "empty.png")
    seen: list[int] = []
    tally = unmask_files(photos_in(photos), out, Wish(), base=photos, done=lambda: seen.append(1))
    assert tally.summary()["photos"] == len(seen) == 3 and tally.faces == 1
    assert tally.without_face == ["empty.png"]
    assert len(tally.failed) == 1 and "broken.jpg" in tally.failed[0]
    assert (out / "more" / "covered" / "face_1" / "input.png").is_file()
    rows = list(csv.DictReader(io.StringIO((out / "expressions.csv").read_text(encoding="utf-8"))))
    assert rows[0]["picture"] == "covered.png"
    record = json.loads((out / "expressions.json").read_text())
    assert record["summary"]["failed"] == 1 and len(record["faces"]) == 1


def test_the_command_names_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.commands.unmask.use_settings", lambda: None)  # networks are loaded by now
    runner = CliRunner()
    done = runner.invoke(app, ["unmask", str(tmp_path / "nothing"), "-o", str(tmp_path / "out")])
    assert done.exit_code == 1 and "is not there" in done.output
    (tmp_path / "empty").mkdir()
    done = runner.invoke(app, ["unmask", str(tmp_path / "empty"), "-o", str(tmp_path / "out")])
    assert done.exit_code == 1 and "no photo in" in done.output
    (tmp_path / "a.png").write_bytes(b"no picture")
    done = runner.invoke(app, ["unmask", str(tmp_path), "--method", "magic"])
    assert done.exit_code == 1 and "magic" in done.output


def test_a_detection_without_far_patches_masks_nothing() -> None:
    calm = Detection(np.full((12, 12), 0.5, np.float32), 1.0, 120)
    assert not calm.mask().any() and calm.mask(0.1).all()
