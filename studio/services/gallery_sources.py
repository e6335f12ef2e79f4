"""Openly licensed faces that others give in public repositories: fetched at a fixed commit, every file checked."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import pooch
import requests

from models.errors import BadInput, BadWeights, MissingWeights
from studio.services.gallery import About, Label, Progress

SECONDS = 60
MANIFEST = "fetched.json"


@dataclass(frozen=True)
class Source:
    """A public repository with faces, and on what terms they are given."""

    key: str
    about: About
    repository: str
    commit: str
    wanted: str
    """Regular expression over paths of the repository."""
    listing: str = "https://api.github.com/repos/{repository}/git/trees/{commit}?recursive=1"
    download: str = "https://raw.githubusercontent.com/{repository}/{commit}/{path}"

    def address(self, template: str, path: str = "") -> str:
        """Fill in repository, commit and path."""
        return template.format(repository=self.repository, commit=self.commit, path=quote(path))


@dataclass(frozen=True)
class Remote:
    """One file of a source as its commit names it."""

    path: str
    git_hash: str
    bytes: int


LONDON = Source(
    key="london",
    about=About(
        name="Face Research Lab London Set",
        credit="Lisa DeBruine and Benedict Jones (2017), Face Research Lab London Set, "
        "https://doi.org/10.6084/m9.figshare.5047666",
        licence="CC-BY-4.0",
        source="https://github.com/debruine/webmorphR.stim",
        consent="signed: web-based studies, original or altered, and illustration of research",
    ),
    repository="debruine/webmorphR.stim",
    commit="d2de378eec80911fafc71dbdedc745cd3b920f64",
    wanted=r"inst/(london|smiling)/\d{3}_\d{2}\.jpg",
)
SFHQ = Source(
    key="sfhq",
    about=About(
        name="SFHQ-T2I",
        credit="David Beniaguev (2024), Synthetic Faces High Quality, Text 2 Image, "
        "https://github.com/SelfishGene/SFHQ-T2I-dataset",
        licence="MIT",
        source="https://github.com/SelfishGene/SFHQ-T2I-dataset",
        consent="synthetic: nobody is shown",
    ),
    repository="SelfishGene/SFHQ-T2I-dataset",
    commit="1c05cd7a8ca3698f583dc4ed6d3949b852d65f39",
    wanted=r"figures/textual_search_[12]_.*\.jpg",
)
SOURCES: dict[str, Source] = {source.key: source for source in (LONDON, SFHQ)}


def source_called(name: str) -> Source:
    """Return a source; raises BadInput naming those there are."""
    if name not in SOURCES:
        raise BadInput(f"no source is called {name!r}; there are {', '.join(SOURCES)}")
    return SOURCES[name]


def fetch(source: Source, folder: Path, *, progress: Progress) -> Path:
    """Fetch the wanted files into `folder`/key and return it; files that are there and right are not fetched again.

    The fixed commit names each file's hash, and a file that differs is not kept. The sha256 of each file is written
    beside them. Raises MissingWeights when the repository cannot be reached, BadWeights for a wrong file.
    """
    target = folder / source.key
    target.mkdir(parents=True, exist_ok=True)
    remotes = list(_listed(source))
    hashes = {}
    for number, remote in enumerate(remotes):
        progress(number, len(remotes), remote.path)
        file = target / local_name(remote.path)
        if not (file.is_file() and _git_hash(file.read_bytes()) == remote.git_hash):
            _fetch_one(source, remote, file)
        hashes[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    manifest = {"repository": source.repository, "commit": source.commit, "sha256": hashes}
    (target / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return target


def local_name(path: str) -> str:
    """A repository's path as one file name."""
    return path.replace("/", "__")


def label(file: Path) -> Label:
    """Read identity and instructed expression off a file of the London set (001_03 neutral, 001_08 smiling)."""
    matched = re.search(r"(\d{3})_(\d{2})$", file.stem)
    if matched is None:
        return Label()
    instructed = {"03": "neutral", "08": "smiling"}.get(matched[2])
    return Label(f"london-{matched[1]}", {"instructed": instructed} if instructed else {})


def with_home(source: Source, home: str) -> Source:
    """The same source from another address, such as a mirror with the same paths."""
    return replace(
        source,
        listing=f"{home}/{{repository}}/{{commit}}/tree.json",
        download=f"{home}/{{repository}}/{{commit}}/{{path}}",
    )


def _listed(source: Source) -> Iterator[Remote]:
    address = source.address(source.listing)
    try:
        answer = requests.get(address, timeout=SECONDS)
        answer.raise_for_status()
        entries = answer.json()["tree"]
    except (requests.RequestException, KeyError, ValueError) as error:
        raise _unreachable(source, address, error) from error
    found = False
    for entry in entries:
        if entry["type"] == "blob" and re.fullmatch(source.wanted, entry["path"]):
            found = True
            yield Remote(entry["path"], entry["sha"], entry["size"])
    if not found:
        raise BadWeights(f"{address} lists none of the faces that belong to {source.about.name}")


def _fetch_one(source: Source, remote: Remote, file: Path) -> None:
    address = source.address(source.download, remote.path)
    file.unlink(missing_ok=True)
    try:
        pooch.retrieve(
            address,
            known_hash=None,
            fname=file.name,
            path=file.parent,
            downloader=pooch.HTTPDownloader(timeout=SECONDS),
        )
    except (requests.RequestException, OSError) as error:
        raise _unreachable(source, address, error) from error
    if _git_hash(file.read_bytes()) != remote.git_hash:
        file.unlink()
        raise BadWeights(f"{address} gave another file than commit {source.commit[:8]} names; it was not kept")


def _git_hash(content: bytes) -> str:
    """The name git gives a file's content: the sha1 of a short header and the content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _unreachable(source: Source, address: str, error: Exception) -> MissingWeights:
    return MissingWeights(
        f"{source.about.name} could not be fetched from {address} ({type(error).__name__}). Fetch "
        f"{source.about.source} elsewhere and run `mien gallery get {source.key} --folder FOLDER`"
    )
