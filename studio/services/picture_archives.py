"""Pictures that come as a ZIP file, as a browser can send them: unpacked once, by name, into the data folder."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from models.errors import BadInput
from studio.services.gallery import PICTURES

LARGEST_PICTURE = 50 * 2**20
MOST_UNPACKED = 8 * 2**30
"""Bytes; a small ZIP file can pretend to hold anything."""
TOLD_EVERY = 200
FOLDER = "pictures"


def unpacked(archive: Path, data_dir: Path, *, progress: Callable[[str], None] = lambda _words: None) -> Path:
    """Return the folder with an archive's pictures, unpacked now unless they were before.

    Only files that are called like pictures are taken, without the folders they lie in; nothing is ever written outside
    the folder. Raises BadInput.
    """
    folder = data_dir / FOLDER / _digest(archive)
    if folder.is_dir():
        return folder
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            _take_out(opened, unfinished, progress)
        unfinished.rename(folder)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:  # damaged, exotic, or encrypted
        raise BadInput(f"the ZIP file with pictures cannot be read; {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _take_out(opened: zipfile.ZipFile, folder: Path, progress: Callable[[str], None]) -> None:
    wanted = [
        one for one in opened.infolist() if not one.is_dir() and PurePosixPath(one.filename).suffix.lower() in PICTURES
    ]
    if not wanted:
        raise BadInput("there are no pictures in the ZIP file")
    if sum(one.file_size for one in wanted) > MOST_UNPACKED:
        raise BadInput(f"the pictures would take more than {MOST_UNPACKED // 2**30} GB; use the command line")
    for number, one in enumerate(wanted, start=1):
        name = PurePosixPath(one.filename.replace("\\", "/")).name
        if one.file_size > LARGEST_PICTURE:
            raise BadInput(f"the picture {name!r} is larger than {LARGEST_PICTURE // 2**20} MB")
        if not (folder / name).exists():
            (folder / name).write_bytes(opened.read(one))
        if number % TOLD_EVERY == 0:
            progress(f"{number} of {len(wanted)} pictures unpacked")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:24]
