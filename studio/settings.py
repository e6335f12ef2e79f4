"""Everything Mien takes from its surroundings, read once; nothing else reads the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from platformdirs import user_data_path

ROOT = Path(__file__).resolve().parent.parent
VARIABLES = {
    "MIEN_DATA_DIR": "folder of the database, the gallery and downloaded weights; default: the user's data folder",
    "MIEN_WEIGHTS_DIR": "a further folder with weights of others, looked through first, such as a shared mirror",
    "MIEN_DATABASE_URL": "address of the database; default: SQLite in the data folder",
    "MIEN_DEVICE": "cuda, cuda:1, mps or cpu; default: auto, the best there is",
    "MIEN_PORT": "port of the page; default: 7860",
    "GRADIO_SERVER_PORT": "the same, where MIEN_PORT is not set",
    "GRADIO_SERVER_NAME": "address to listen on; default: 127.0.0.1, on Spaces 0.0.0.0",
    "MIEN_ADMINS": "Hugging Face accounts, with commas between, that are admins when they sign in",
    "MIEN_SYNTHETIC_MARK": "on or off: whether reenacted pictures carry a visible mark; default: on",
    "MIEN_INPAINT_MODEL": "inpainting model for the Occlusion tab: an id of the Hub, or a folder; default: none",
    "MIEN_INPAINT_ON_CPU": "on or off: whether that model may run without a GPU, minutes a guess; default: off",
    "MIEN_OFFICIAL_FRAMES": "most frames that FSRT's own networks draw of one film for a visitor; default: 300",
    "SPACE_ID": "set by Hugging Face Spaces",
    "SPACES_ZERO_GPU": "set by Hugging Face Spaces where a GPU is lent for each call",
}
DEVICES = ("auto", "cuda", "mps", "cpu")


class WrongSetting(ValueError):
    """An environment variable holds what it cannot hold; the message names it."""


@dataclass(frozen=True)
class Settings:
    """Where data lies, what to compute on, and what a host has decided."""

    data_dir: Path
    """Database, gallery and downloaded weights."""
    weights_dir: Path
    """Where weights of others are looked for first; may be a read-only mirror."""
    database_url: str
    device: str
    """cuda, mps or cpu; auto picks the best there is."""
    host: str
    port: int
    on_spaces: bool
    zero_gpu: bool
    admins: frozenset[str] = frozenset()
    """Hugging Face accounts that are admins."""
    synthetic_mark: bool = True
    """Whether pictures and films of the Reenact tab carry a visible mark; their metadata always says so."""

    inpaint_model: str = ""
    """Pipeline that may fill holes in the Occlusion tab: an id of the Hub or a folder; empty: none."""
    inpaint_on_cpu: bool = False
    """Whether it may run without a GPU."""
    official_frames: int = 300
    """Most frames of a film that FSRT's own networks draw on the page and for programs."""

    @property
    def own_weights_dir(self) -> Path:
        """Where fetched and brought weights are written."""
        return self.data_dir / "weights"

    @property
    def weights_folders(self) -> tuple[Path, ...]:
        """All folders weights are looked for in, in order."""
        own = self.own_weights_dir
        return (own,) if self.weights_dir == own else (self.weights_dir, own)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Build the settings from environment variables; raises WrongSetting naming the variable that is wrong."""
    given = {name: environment[name].strip() for name in VARIABLES if environment.get(name, "").strip()}
    data_dir = Path(given.get("MIEN_DATA_DIR") or user_data_path("mien", appauthor=False)).expanduser()
    on_spaces = "SPACE_ID" in given
    return Settings(
        data_dir=data_dir,
        weights_dir=Path(given.get("MIEN_WEIGHTS_DIR") or data_dir / "weights").expanduser(),
        database_url=given.get("MIEN_DATABASE_URL") or f"sqlite:///{data_dir / 'mien.sqlite'}",
        device=_device(given.get("MIEN_DEVICE", "auto")),
        host=given.get("GRADIO_SERVER_NAME", "0.0.0.0" if on_spaces else "127.0.0.1"),
        port=_port(given.get("MIEN_PORT") or given.get("GRADIO_SERVER_PORT") or "7860"),
        on_spaces=on_spaces,
        zero_gpu="SPACES_ZERO_GPU" in given,
        admins=frozenset(name.strip() for name in given.get("MIEN_ADMINS", "").split(",") if name.strip()),
        synthetic_mark=_is_on("MIEN_SYNTHETIC_MARK", given.get("MIEN_SYNTHETIC_MARK", "on")),
        inpaint_model=_model(given.get("MIEN_INPAINT_MODEL", "")),
        inpaint_on_cpu=_is_on("MIEN_INPAINT_ON_CPU", given.get("MIEN_INPAINT_ON_CPU", "off")),
        official_frames=_count("MIEN_OFFICIAL_FRAMES", given.get("MIEN_OFFICIAL_FRAMES", "300")),
    )


def choose_graphics(platform: str) -> None:
    """Tell PyOpenGL, before it is first imported, which platform to open: egl or osmesa."""
    os.environ["PYOPENGL_PLATFORM"] = platform


@cache
def settings() -> Settings:
    """Return the settings of this process."""
    return read_settings(os.environ)


def environment_of(chosen: Settings) -> dict[str, str]:
    """Return the environment for a process that shall see the same data, database, weights and device."""
    return dict(os.environ) | {
        "MIEN_DATA_DIR": str(chosen.data_dir),
        "MIEN_WEIGHTS_DIR": str(chosen.weights_dir),
        "MIEN_DATABASE_URL": chosen.database_url,
        "MIEN_DEVICE": chosen.device,
    }


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise WrongSetting(f"MIEN_PORT must be a whole number from 1 to 65535, got {text!r}")
    return int(text)


def _count(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise WrongSetting(f"{name} must be a whole number above 0, got {text!r}")
    return int(text)


def _model(text: str) -> str:
    is_folder = text.startswith(("/", ".", "~")) or Path(text).is_absolute()
    if text and not is_folder and not re.fullmatch(r"[\w.-]+/[\w.-]+", text):
        raise WrongSetting(
            f"MIEN_INPAINT_MODEL must be OWNER/NAME, as on the Hub, or the path of a folder, got {text!r}"
        )
    return text


def _is_on(name: str, text: str) -> bool:
    if text.lower() not in ("on", "off"):
        raise WrongSetting(f"{name} must be on or off, got {text!r}")
    return text.lower() == "on"


def _device(text: str) -> str:
    kind, colon, index = text.partition(":")
    if kind not in DEVICES or (colon and not (kind == "cuda" and index.isdigit())):
        raise WrongSetting(f"MIEN_DEVICE must be auto, cuda, cuda:1, mps or cpu, got {text!r}")
    return text
