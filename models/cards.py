"""Cards: for each weight that ships where it comes from, what it learned from and how good it is, beside its file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open

from models.errors import BadWeights

PRETRAINED = Path(__file__).resolve().parent / "pretrained"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrainingData(_Record):
    """One source a weight learned from."""

    name: str
    licence: str
    credit: str
    """Whom to thank, and where the source is found."""


class Figure(_Record):
    """One measured number, on which data, and the command that prints it."""

    value: float
    data: str
    command: str


class WeightCard(_Record):
    """All there is to say about one shipped weight; the file NAME.safetensors lies beside NAME.json."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    title: str
    what: str
    """What it does, in a sentence for people."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(gt=0)
    parameters: int = Field(gt=0)
    licence: str
    training_data: tuple[TrainingData, ...] = Field(min_length=1)
    recipe: str
    """The command that makes the weight again."""
    figures: dict[str, Figure]
    limits: str
    """What it is not good for."""
    date: date

    @property
    def backend(self) -> str:
        """Name and the first 8 digits of the file's hash: vectors are comparable only within one backend."""
        return f"{self.name}-{self.sha256[:8]}"


def make_card(
    weights: Path,
    *,
    title: str,
    what: str,
    licence: str,
    training_data: Sequence[TrainingData],
    recipe: str,
    figures: Mapping[str, Figure],
    limits: str,
    day: date,
) -> WeightCard:
    """Write NAME.json beside NAME.safetensors, with the hash, size and parameter count read off the file."""
    card = WeightCard(
        name=weights.stem,
        title=title,
        what=what,
        sha256=file_hash(weights),
        bytes=weights.stat().st_size,
        parameters=count_parameters(weights),
        licence=licence,
        training_data=tuple(training_data),
        recipe=recipe,
        figures=dict(figures),
        limits=limits,
        date=day,
    )
    weights.with_suffix(".json").write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return card


def read_card(path: Path) -> WeightCard:
    """Read one card; raises BadWeights naming the field that is wrong."""
    try:
        return WeightCard.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, OSError, UnicodeDecodeError) as error:
        raise BadWeights(f"the card {path.name} cannot be used: {error}") from error


def all_cards(folder: Path = PRETRAINED) -> dict[str, WeightCard]:
    """Return the cards of all shipped weights by name, in order of their names."""
    return {path.stem: read_card(path) for path in sorted(folder.glob("*.json"))}


def check_weight(card: WeightCard, folder: Path = PRETRAINED) -> Path:
    """Return the card's file; raises BadWeights when it is absent or not the file the card speaks of."""
    path = folder / f"{card.name}.safetensors"
    if not path.is_file():
        raise BadWeights(f"{path.name} is missing beside its card; install Mien again or run `{card.recipe}`")
    if path.stat().st_size != card.bytes or file_hash(path) != card.sha256:
        raise BadWeights(f"{path.name} is not the file its card speaks of; install Mien again or run `{card.recipe}`")
    return path


def file_hash(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def count_parameters(path: Path) -> int:
    """Return the number of values in a safetensors file, read off its header; raises BadWeights for another file."""
    total = 0
    try:
        with safe_open(path, framework="numpy") as tensors:
            for name in tensors.keys():
                size = 1
                for length in tensors.get_slice(name).get_shape():
                    size *= length
                total += size
    except (SafetensorError, OSError) as error:
        raise BadWeights(f"{path.name} is not a safetensors file: {error}") from error
    return total
