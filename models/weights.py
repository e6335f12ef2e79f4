"""Files Mien does not ship: found in the weights folders, fetched by their cards, brought by users, always checked."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import pooch
import requests

from models.brought import BROUGHT
from models.cards import file_hash
from models.downloads import DOWNLOADS, Download, DownloadFile
from models.errors import BadInput, BadWeights, MissingWeights

SECONDS = 30

pooch.get_logger().setLevel(logging.WARNING)


def find_weight(name: str, *folders: Path) -> Path | None:
    """Return the file of a download or brought weight in the first folder that holds it, or None.

    A download is checked against its hash: a wrong file raises BadWeights instead of being loaded. A name nobody
    knows raises BadInput.
    """
    if name in DOWNLOADS:
        files = DOWNLOADS[name].files
        for folder in folders:
            if all((folder / file.filename).is_file() for file in files):
                paths = [_checked(file, folder) for file in files]
                return paths[0]
        return None
    if name not in BROUGHT:
        raise BadInput(f"no weight is called {name!r}; `mien weights list` shows all")
    paths = (folder / BROUGHT[name].filename for folder in folders)
    return next((path for path in paths if path.exists()), None)


def require_weight(name: str, *folders: Path) -> Path:
    """Return the file of a weight; raises MissingWeights saying what it is and the command that adds it."""
    path = find_weight(name, *folders)
    if path is not None:
        return path
    if name in DOWNLOADS:
        download = DOWNLOADS[name]
        raise MissingWeights(
            f"{download.title} by {download.who} ({download.licence}) is not here yet; run `mien weights get {name}`"
        )
    brought = BROUGHT[name]
    raise MissingWeights(
        f"{brought.title} is needed and Mien may not pass it on ({brought.licence}). {brought.who} gives it at "
        f"{brought.where}; then run `mien weights add {name} FILE`"
    )


def get(name: str, target: Path, *, mirrors: Sequence[Path] = (), progress: bool = False) -> Path:
    """Fetch a download into `target` unless it is there or in a mirror, and return its first file.

    Raises BadInput for an unknown name, BadWeights when what arrives is not what the card says, and MissingWeights
    when it cannot be reached.
    """
    if name not in DOWNLOADS:
        hint = f"; it has to be brought: `mien weights add {name} FILE`" if name in BROUGHT else ""
        raise BadInput(f"no download is called {name!r}{hint}; there are {', '.join(DOWNLOADS)}")
    present = find_weight(name, *mirrors, target)
    if present is not None:
        return present
    for file in DOWNLOADS[name].files:
        _fetch(DOWNLOADS[name], file, target, progress)
    return target / DOWNLOADS[name].files[0].filename


def add(name: str, source: Path, target: Path) -> str:
    """Check a file the user brings and install it in `target`; return a sentence about it.

    Raises BadInput for an unknown name or an absent file, and BadWeights when it is not what its name says.
    """
    if not source.exists():
        raise BadInput(f"{source} is not there")
    if name in DOWNLOADS:
        return _add_download(DOWNLOADS[name], source, target)
    if name not in BROUGHT:
        raise BadInput(f"no weight is called {name!r}; `mien weights list` shows all")
    module, _, function = BROUGHT[name].install.partition(":")
    install: Callable[[Path, Path], str] = getattr(import_module(module), function)
    place = target / BROUGHT[name].filename
    place.parent.mkdir(parents=True, exist_ok=True)
    return install(source, place)


def remove(name: str, folder: Path) -> list[Path]:
    """Delete the files of a weight from `folder` and return what was deleted; raises BadInput for an unknown name."""
    if name not in DOWNLOADS and name not in BROUGHT:
        raise BadInput(f"no weight is called {name!r}; `mien weights list` shows all")
    names = [file.filename for file in DOWNLOADS[name].files] if name in DOWNLOADS else [BROUGHT[name].filename]
    removed = [folder / filename for filename in names if (folder / filename).exists()]
    for path in removed:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return removed


def _checked(file: DownloadFile, folder: Path) -> Path:
    path = folder / file.filename
    if path.stat().st_size != file.bytes or file_hash(path) != file.sha256:
        raise BadWeights(f"{path} is not the file its card speaks of (sha256 {file.sha256[:12]}…); delete it")
    return path


def _fetch(download: Download, file: DownloadFile, target: Path, progress: bool) -> None:
    place = target / file.filename
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        pooch.retrieve(
            file.url,
            known_hash=f"sha256:{file.sha256}",
            fname=place.name,
            path=place.parent,
            downloader=pooch.HTTPDownloader(progressbar=progress, timeout=SECONDS),
        )
    except ValueError as error:
        raise BadWeights(f"{file.url} gave another file than the card says; nothing was kept") from error
    except (requests.RequestException, OSError) as error:
        raise MissingWeights(
            f"{download.title} could not be fetched from {file.url} ({type(error).__name__}). Fetch it elsewhere and "
            f"run `mien weights add {download.name} FILE`"
        ) from error


def _add_download(download: Download, source: Path, target: Path) -> str:
    """Take the files of a download from a file or folder the user fetched elsewhere."""
    for file in download.files:
        place = target / file.filename
        found = source / place.name if source.is_dir() else source
        if not found.is_file():
            raise BadInput(f"{source} holds no {place.name}")
        if file_hash(found) != file.sha256:
            raise BadWeights(f"{found.name} is not {download.title}: its sha256 is not {file.sha256}")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(found.read_bytes())
    return f"{download.title} is installed ({download.bytes / 1e6:.1f} MB)."
