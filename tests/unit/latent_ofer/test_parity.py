"""Our networks compute what the official ones computed under rule-made weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from models.errors import BadInput
from models.latent_ofer import rule
from models.latent_ofer.parity import PARTS, checks

FOLDER = "latent_ofer_dfc_vae"


@pytest.fixture
def fixtures(fixtures_dir: Path) -> Path:
    return fixtures_dir / FOLDER


@pytest.mark.parametrize(
    "part",
    [
        "mae_tiny",
        "mae_base",
        "mae_large",
        "hybrid_G",
        "fer_dan",
        "ours_small",
        pytest.param("ours_full", marks=pytest.mark.slow),
    ],
)
def test_every_stored_array_is_met(fixtures: Path, part: str) -> None:
    lines = list(checks(fixtures, seed="dev", only=part))
    assert [line.line() for line in lines if not line.ok] == []
    arrays = [line.name.split("/")[1] for line in lines]
    assert arrays[0] == "keys" and (len(arrays) > 3 or PARTS[part].run is None)


def test_another_seed_word_makes_other_weights_and_is_noticed(fixtures: Path, tmp_path: Path) -> None:
    stored = fixtures / "mae_tiny.dev.npz"
    (tmp_path / "mae_tiny.other.npz").write_bytes(stored.read_bytes())
    failed = [line.name for line in checks(tmp_path, seed="other", only="mae_tiny") if not line.ok]
    assert "mae_tiny/pred" in failed and "mae_tiny/enc_cls" in failed


def test_a_seed_without_fixtures_is_an_error_not_a_pass(fixtures: Path) -> None:
    with pytest.raises(BadInput, match="nowhere"):
        list(checks(fixtures, seed="nowhere", only="mae_tiny"))
    with pytest.raises(BadInput, match="mae_tiny"):
        list(checks(fixtures, seed="dev", only="mae_huge"))


def test_the_rule_gives_the_published_values(fixtures: Path) -> None:
    vectors = json.loads((fixtures / "rule_vectors.json").read_text())
    for tag, expected in vectors.items():
        if tag.startswith("raw|"):
            continue
        model_id, seed, key = tag.split("|")
        if key.startswith("input:"):
            values = rule.blocks(model_id, seed, key.removeprefix("input:"), size=224, block=8)
            cells = values[0, 0, 0, ::8][:4]
            assert cells.tolist() == pytest.approx(expected["first_cell_values_row0"], abs=1e-7)
        else:
            values = rule.weight(model_id, seed, key, tuple(expected["shape"]))
            assert values.flatten()[:4].tolist() == expected["first4"]
        assert float(values.double().sum()) == pytest.approx(expected["sum_float64"], rel=1e-9)


def test_the_rule_does_not_depend_on_how_much_is_drawn_at_a_time() -> None:
    whole = rule.weight("net", "word", "layer.weight", (7, 11))
    assert torch.equal(whole, rule.weight("net", "word", "layer.weight", (7, 11), chunk=13))
    assert not torch.equal(whole, rule.weight("net", "other", "layer.weight", (7, 11)))
