"""A card says what its file is, and is found out when it does not."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from models.cards import (
    PRETRAINED,
    Figure,
    TrainingData,
    WeightCard,
    all_cards,
    check_weight,
    count_parameters,
    make_card,
    read_card,
)
from models.errors import BadWeights


@pytest.fixture
def card(tmp_path: Path) -> WeightCard:
    weights = tmp_path / "tiny.safetensors"
    save_file({"a": np.zeros((3, 4), np.float32), "b": np.ones(5, np.float16), "c": np.array(1, np.int64)}, weights)
    return make_card(
        weights,
        title="Tiny",
        what="Nothing much.",
        licence="Apache-2.0",
        training_data=[TrainingData(name="Zeros", licence="CC0-1.0", credit="nobody")],
        recipe="mien train tiny",
        figures={"accuracy": Figure(value=0.5, data="coins", command="mien evaluate coins")},
        limits="All.",
        day=date(2026, 1, 2),
    )


def test_a_card_lies_beside_its_weight_and_reads_back(card: WeightCard, tmp_path: Path) -> None:
    assert read_card(tmp_path / "tiny.json") == card
    assert all_cards(tmp_path) == {"tiny": card}
    assert card.parameters == 12 + 5 + 1
    assert card.backend == f"tiny-{card.sha256[:8]}"
    assert check_weight(card, tmp_path) == tmp_path / "tiny.safetensors"


def test_a_changed_or_missing_weight_is_found_out(card: WeightCard, tmp_path: Path) -> None:
    weights = tmp_path / "tiny.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(BadWeights, match="not the file its card speaks of"):
        check_weight(card, tmp_path)
    weights.unlink()
    with pytest.raises(BadWeights, match="missing"):
        check_weight(card, tmp_path)


@pytest.mark.parametrize("change", [{"sha256": "abc"}, {"licence": None}, {"surprise": 1}, {"training_data": []}])
def test_a_card_with_a_wrong_field_names_it(card: WeightCard, tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BadWeights, match=next(iter(change))):
        read_card(path)


def test_only_safetensors_are_counted(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"pickle" * 20)
    with pytest.raises(BadWeights):
        count_parameters(tmp_path / "x.safetensors")


def test_every_shipped_weight_is_what_its_card_says() -> None:
    for name, card in all_cards().items():
        path = check_weight(card)
        assert path.stem == name == card.name
        assert count_parameters(path) == card.parameters
        assert card.figures, f"{name} was never measured"


def test_every_shipped_weight_has_a_card() -> None:
    assert {path.stem for path in PRETRAINED.glob("*.safetensors")} == set(all_cards())
