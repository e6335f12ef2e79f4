"""Expression vectors of many pictures and clips, in batches across files, into one Parquet file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from models import registry
from models.clips import frames
from models.deepfever import CROP_SCALE
from models.errors import BadInput
from models.faces.align import crop
from models.images import read_image
from models.types import BLENDSHAPES, EMOTIONS, Expression, Face, Image

PHOTOS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".heif", ".bmp", ".tif", ".tiff"})
CLIPS = frozenset({".mp4", ".webm", ".mov", ".gif", ".mkv", ".avi", ".m4v"})
MOST_SECONDS = 3600.0
VECTOR, COMPACT = 64, 16


def _schema() -> pa.Schema:
    numbers = [("left", pa.float32()), ("top", pa.float32()), ("right", pa.float32()), ("bottom", pa.float32())]
    numbers += [("yaw", pa.float32()), ("pitch", pa.float32()), ("roll", pa.float32()), ("score", pa.float32())]
    numbers += [(f"emotion_{name}", pa.float32()) for name in EMOTIONS]
    numbers += [("valence", pa.float32()), ("arousal", pa.float32())]
    return pa.schema(
        [
            ("file", pa.string()),
            ("time_s", pa.float64()),
            ("face", pa.int32()),
            ("quality", pa.list_(pa.string())),
            *numbers,
            ("blendshapes", pa.list_(pa.float32(), BLENDSHAPES)),
            ("compact", pa.list_(pa.float32(), COMPACT)),
            ("vector", pa.list_(pa.float32(), VECTOR)),
            ("backend", pa.string()),
        ]
    )


SCHEMA = _schema()
"""One row a face: `time_s` is empty for photos, `face` counts from 1 in each picture, best first."""


@dataclass
class Tally:
    """What became of the files."""

    files: int = 0
    pictures: int = 0
    """Photos and frames."""
    faces: int = 0
    without_face: int = 0
    failed: list[str] = field(default_factory=list)
    """Why a file could not be read, in words."""

    def summary(self) -> dict[str, int]:
        """Return the counts."""
        counts = {"files": self.files, "pictures": self.pictures, "faces": self.faces}
        return counts | {"without_face": self.without_face, "failed": len(self.failed)}


def collect(paths: Sequence[Path]) -> list[Path]:
    """Return the photos and clips among files and folders, each once, in order; raises BadInput when there is none."""
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in PHOTOS | CLIPS)
            found |= dict.fromkeys(file for file in inside if file.is_file())
        elif path.is_file():
            found[path] = None
        else:
            raise BadInput(f"{path} is not there")
    if not found:
        raise BadInput(f"no photo or clip in {', '.join(map(str, paths))}; there may be {_endings()}")
    return list(found)


def embed_files(
    files: Sequence[Path], out: Path, *, every: float, batch: int, done: Callable[[], None] | None = None
) -> Tally:
    """Read every face of every file into `out`, which appears only when all is written.

    `every` is the time between frames of a clip in seconds; `done` is called after each file. A file that cannot be
    read is left out and named in the tally.
    """
    if not out.parent.is_dir():
        raise BadInput(f"the folder {out.parent} is not there")
    tally = Tally()
    unfinished = out.with_name(f"{out.name}.part")
    try:
        with pq.ParquetWriter(unfinished, SCHEMA, compression="zstd") as writer:
            queue = _Queue(writer, batch)
            for file in files:
                _read_file(file, queue, tally, every)
                if done:
                    done()
            queue.flush()
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    return tally


class _Queue:
    """Faces waiting for a full batch, and the file they go to."""

    def __init__(self, writer: pq.ParquetWriter, batch: int) -> None:
        self.writer, self.batch = writer, batch
        self.reader = registry.load("deepfever")
        self.rows: list[dict[str, Any]] = []
        self.crops: list[Image] = []

    def add(self, row: dict[str, Any], face: Face, image: Image) -> None:
        self.rows.append(row)
        self.crops.append(crop(face, image, size=self.reader.size, scale=CROP_SCALE).pixels)
        if len(self.rows) >= self.batch:
            self.flush()

    def flush(self) -> None:
        if not self.rows:
            return
        expressions = self.reader.read_crops(self.crops, batch=self.batch)
        full = [row | _expression_row(expression) for row, expression in zip(self.rows, expressions, strict=True)]
        self.writer.write_table(pa.Table.from_pylist(full, schema=SCHEMA))
        self.rows, self.crops = [], []


def _read_file(file: Path, queue: _Queue, tally: Tally, every: float) -> None:
    finder = registry.load("faces")
    tally.files += 1
    try:
        for time_s, image in _pictures(file, every):
            faces = finder.find(image)
            tally.pictures += 1
            tally.faces += len(faces)
            tally.without_face += not faces
            for number, face in enumerate(faces, 1):
                queue.add({"file": str(file), "time_s": time_s, "face": number} | _face_row(face), face, image)
    except BadInput as error:
        tally.failed.append(str(error))


def _pictures(file: Path, every: float) -> Iterator[tuple[float | None, Image]]:
    if file.suffix.lower() in CLIPS:
        yield from frames(file, every=every, most_seconds=MOST_SECONDS)
    else:
        yield None, read_image(file)


def _face_row(face: Face) -> dict[str, Any]:
    box, pose = face.box, face.pose
    row: dict[str, Any] = {"left": box.left, "top": box.top, "right": box.right, "bottom": box.bottom}
    row |= {"yaw": pose.yaw, "pitch": pose.pitch, "roll": pose.roll, "score": face.score}
    return row | {"quality": list(face.quality.flags), "blendshapes": face.blendshapes}


def _expression_row(expression: Expression) -> dict[str, Any]:
    row: dict[str, Any] = {f"emotion_{name}": value for name, value in zip(EMOTIONS, expression.emotions, strict=True)}
    row |= {"valence": expression.valence, "arousal": expression.arousal, "backend": expression.backend}
    return row | {"compact": expression.compact, "vector": expression.vector}


def _endings() -> str:
    return ", ".join(sorted(PHOTOS | CLIPS))
