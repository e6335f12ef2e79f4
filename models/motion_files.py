"""Reading motion files: arrays in a ZIP archive that nobody may have to trust."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import BadInput


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
