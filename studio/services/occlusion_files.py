"""Whole folders for the command line: each face's stages into a folder of its own, one CSV and one JSON of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.errors import BadInput
from models.images import plain_name, read_image
from studio.services.embedding import PHOTOS
from studio.services.exports import as_json
from studio.services.expression import read_photo
from studio.services.occlusion import Effort, Filled, Subject, draw_guesses, fill, subject_of
from studio.services.occlusion_exports import as_csv, csv_rows, occlusion_record, stage_files
from studio.services.occlusion_methods import DRAWN, OWN


@dataclass
class Tally:
    """What became of the photos."""

    photos: int = 0
    faces: int = 0
    guessed: int = 0
    """Faces of which something was hidden."""
    uncovered: int = 0
    """Faces that nothing hides, as far as the detector can tell."""
    without_face: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """Why a photo or face was left out, in words."""

    def summary(self) -> dict[str, int]:
        """Return the counts."""
        counts = {"photos": self.photos, "faces": self.faces, "guessed": self.guessed, "uncovered": self.uncovered}
        return counts | {"without_face": len(self.without_face), "failed": len(self.failed)}


@dataclass(frozen=True)
class Wish:
    """How the hidden parts are to be found and guessed."""

    radius: float = 1.0
    """In units of the detector's own."""
    method: str = OWN
    effort: Effort = field(default_factory=lambda: Effort(samples=1))


def photos_in(path: Path) -> list[Path]:
    """Return a photo, or the photos of a folder in order; raises BadInput when there is none."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise BadInput(f"{path} is not there")
    found = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix.lower() in PHOTOS)
    if not found:
        raise BadInput(f"no photo in {path}; there may be {', '.join(sorted(PHOTOS))}")
    return found


def unmask_files(
    files: Sequence[Path], out: Path, wish: Wish, *, base: Path | None = None, done: Callable[[], None] | None = None
) -> Tally:
    """Write every stage of every face into OUT/PHOTO/face_N, and OUT/expressions.csv and .json of all of them.

    `base` is the folder the photos were found in: their folders keep its order. A photo that cannot be used is left
    out and named in the tally; what was done before it stays. `done` is called after each photo.
    """
    if out.is_file():
        raise BadInput(f"{out} is a file; name a folder")
    out.mkdir(parents=True, exist_ok=True)
    tally, rows, records = Tally(), [], []
    folders = _folders(files, base)
    try:
        for file, folder in zip(files, folders, strict=True):
            for subject, filled in _faces_of(file, wish, tally):
                home = out / folder / f"face_{subject.number}"
                home.mkdir(parents=True, exist_ok=True)
                radius = subject.detection.radius * wish.radius
                for name, content in stage_files(subject, filled, radius=radius).items():
                    (home / name).write_bytes(content)
                rows += csv_rows(subject, filled)
                records.append({"file": str(folder)} | occlusion_record(subject, filled, radius=radius))
            if done:
                done()
    finally:  # also when the work is stopped: nothing that was read is lost
        _write_tables(out, rows, records, tally)
    return tally


def _write_tables(out: Path, rows: list[list[str]], records: list[dict[str, Any]], tally: Tally) -> None:
    (out / "expressions.csv").write_bytes(as_csv(rows))
    record = {"faces": records, "without_face": tally.without_face, "failed": tally.failed}
    (out / "expressions.json").write_bytes(as_json(record | {"summary": tally.summary()}))


def _folders(files: Sequence[Path], base: Path | None) -> list[Path]:
    """Return a folder for each photo; photos that differ only in their ending keep it."""
    places = [file.relative_to(base) if base is not None else Path(file.name) for file in files]
    stems = [place.with_suffix("") for place in places]
    return [place if stems.count(stem) > 1 else stem for place, stem in zip(places, stems, strict=True)]


def _faces_of(file: Path, wish: Wish, tally: Tally) -> list[tuple[Subject, Filled | None]]:
    tally.photos += 1
    try:
        image = read_image(file)
    except BadInput as error:
        tally.failed.append(str(error))
        return []
    reading = read_photo(image, name=file.name)
    if not reading.faces:
        tally.without_face.append(plain_name(file))
    found: list[tuple[Subject, Filled | None]] = []
    for item in reading.faces:
        subject = subject_of(image, item.face, name=file.name, number=item.number)
        tally.faces += 1
        try:
            found.append((subject, _guess(subject, wish)))
        except BadInput as error:
            tally.failed.append(f"{plain_name(file)}, face {item.number}: {error}")
            found.append((subject, None))
            continue
        tally.guessed += found[-1][1] is not None
        tally.uncovered += found[-1][1] is None
    return found


def _guess(subject: Subject, wish: Wish) -> Filled | None:
    mask = subject.mask(subject.detection.radius * wish.radius)
    if not mask.any():
        return None
    if wish.method in DRAWN:
        return draw_guesses(subject, mask, wish.effort, lambda _words, _share: True, method=wish.method)
    return fill(subject, mask, method=wish.method)
