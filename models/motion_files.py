"""Reading motion files: arrays in a ZIP archive that nobody may have to trust."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import BadInput

MOST_KIND_BYTES = 4096
"""Of the one word that says what a file is."""


def read_arrays(path: Path, *, most_bytes: int) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz file by name, without pickles; raises BadInput where they unpack to too much."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > most_bytes:
                raise BadInput(f"{path.name} unpacks to more than {most_bytes // 2**20} MB; cut the clip shorter")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise BadInput(f"{path.name} is not a motion file: {error}") from error


def kind_of(path: Path) -> str:
    """Return what a motion file says it is, reading nothing else of it; empty where it says nothing."""
    try:
        with zipfile.ZipFile(path) as packed:
            sizes = {entry.filename: entry.file_size for entry in packed.infolist()}
        if not 0 < sizes.get("kind.npy", 0) <= MOST_KIND_BYTES:
            return ""
        with np.load(path, allow_pickle=False) as archive:
            entry = archive["kind"]
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise BadInput(f"{path.name} is not a motion file: {error}") from error
    return str(entry) if entry.dtype.kind == "U" and entry.ndim == 0 else ""
