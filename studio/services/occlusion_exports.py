"""A face's stages as files: every picture as PNG, the numbers as JSON and CSV, all of it in one ZIP."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from models.images import encode_image
from models.occlusion.results import Recognition
from models.types import EMOTIONS, Image
from studio.services.exports import as_json
from studio.services.occlusion import Filled, Subject, stage_pictures
from studio.services.occlusion_methods import HUB, hub_model
from studio.services.occlusion_pictures import distance_picture, mask_picture, sheet
from studio.services.occlusion_truth import truth_of, truth_record

TITLES = {
    "clean": "Clean face", "input": "Input", "distance_map": "Distance map", "mask_over": "Mask", "coarse": "Coarse",
    "refined": "Refined", "blended": "Pasted",
}  # fmt: skip


def recognition_record(read: Recognition) -> dict[str, Any]:
    """Return an expression as plain values."""
    return {
        "emotions": {name: round(float(read.emotions[name]), 5) for name in EMOTIONS},
        "vector": [round(float(value), 6) for value in read.vector],
        "backend": read.backend,
    }


def occlusion_record(subject: Subject, filled: Filled | None, *, radius: float | None = None) -> dict[str, Any]:
    """Return everything but the pictures as plain values; `radius` is what the mask was cut at, None: the own one."""
    detection = subject.detection
    record: dict[str, Any] = {
        "name": subject.name,
        "number": subject.number,
        "box": {side: round(getattr(subject.face.box, side), 2) for side in ("left", "top", "right", "bottom")},
        "crop_from_image": np.round(subject.crop.crop.crop_from_image, 6).tolist(),
        "detector": {
            "radius": round(detection.radius if radius is None else radius, 5),
            "own_radius": round(detection.radius, 5),
            "distances": np.round(detection.distances, 4).tolist(),
        },
        "hidden": 0.0 if filled is None else round(float(filled.mask.mean()), 5),
        "before": recognition_record(subject.before),
        "after": None if filled is None else recognition_record(filled.after),
        "clean": recognition_record(subject.cover.clean) if subject.cover else None,
        "note": "The hidden part is a guess, not a finding.",
    }
    if filled is not None:
        record |= {
            "method": filled.guess.method,
            "model": hub_model() if filled.guess.method == HUB else None,
            "sample": filled.sample,
            "milliseconds": {step.name: round(step.milliseconds, 1) for step in filled.steps},
        }
        truth = truth_of(subject, filled)
        record["truth"] = (
            None if truth is None else truth_record(truth) | {"cover": subject.cover and subject.cover.kind}
        )
    return record


def all_pictures(subject: Subject, filled: Filled | None, *, radius: float | None = None) -> dict[str, Image]:
    """Return the pictures of all stages by name, in the order they are made."""
    plain = stage_pictures(subject, filled)
    limit = subject.detection.radius if radius is None else radius
    made: dict[str, Image] = {name: plain[name] for name in ("clean", "input") if name in plain}
    made["distance_map"] = distance_picture(subject.crop.pixels, subject.detection.distances, limit)
    if filled is not None:
        made["mask_over"] = mask_picture(subject.crop.pixels, filled.mask)
        made["mask"] = np.repeat(filled.mask[..., None].astype(np.uint8) * 255, 3, axis=2)
        made |= {name: plain[name] for name in ("coarse", "refined", "blended")}
        if len(filled.guess.samples) > 1:
            made |= {f"guess_{place}": picture for place, picture in enumerate(filled.guess.samples, start=1)}
    return made


def stage_sheet(subject: Subject, filled: Filled | None, *, radius: float | None = None) -> Image:
    """Return the stages side by side in one picture."""
    made = all_pictures(subject, filled, radius=radius)
    return sheet([(title, made[name]) for name, title in TITLES.items() if name in made])


def stages_zip(subject: Subject, filled: Filled | None, *, radius: float | None = None) -> bytes:
    """Return every stage as PNG, the completed photo and the numbers in one ZIP file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in stage_files(subject, filled, radius=radius).items():
            archive.writestr(name, content)
    return stream.getvalue()


def stage_files(subject: Subject, filled: Filled | None, *, radius: float | None = None) -> dict[str, bytes]:
    """Return all files of one face by name."""
    files = {
        f"{name}.png": encode_image(picture) for name, picture in all_pictures(subject, filled, radius=radius).items()
    }
    files["stages.png"] = encode_image(stage_sheet(subject, filled, radius=radius))
    if filled is not None:
        files["photo.png"] = encode_image(filled.pasted)
    files["numbers.json"] = as_json(occlusion_record(subject, filled, radius=radius))
    return files


CSV_HEADER = ("picture", "number", "hidden", "method", "stage", *EMOTIONS, *(f"vector_{place}" for place in range(64)))


def csv_rows(subject: Subject, filled: Filled | None) -> list[list[str]]:
    """Return a row for the face before and one for it after, in the columns of CSV_HEADER."""
    hidden, method = (float(filled.mask.mean()), filled.guess.method) if filled else (0.0, "")
    name = f"'{subject.name}" if subject.name[:1] in "=+-@\t\r" else subject.name
    reads: Sequence[tuple[str, Recognition]] = [
        ("before", subject.before),
        *([("after", filled.after)] if filled else []),
    ]
    return [
        [name, str(subject.number), f"{hidden:.5g}", method, stage]
        + [f"{float(value):.6g}" for value in (*(read.emotions[emotion] for emotion in EMOTIONS), *read.vector)]
        for stage, read in reads
    ]


def as_csv(rows: Sequence[Sequence[str]]) -> bytes:
    """Return rows below the header."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_HEADER)
    writer.writerows(rows)
    return stream.getvalue().encode()
