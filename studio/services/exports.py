"""Readings as files: JSON for programs, CSV for tables, NPZ for NumPy, and the photo with its faces named."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from models.faces.names import BLENDSHAPE_NAMES
from models.images import encode_image
from models.types import EMOTIONS, Box, Expression, Face, Image
from studio.palette import EMOTION_COLOURS
from studio.services.comparison import Comparison
from studio.services.expression import FaceReading, PhotoReading, scaled
from studio.services.timeline import ClipReading


def face_record(face: Face, expression: Expression) -> dict[str, Any]:
    """Return everything read off one face as plain values."""
    return {
        "box": {side: round(getattr(face.box, side), 2) for side in ("left", "top", "right", "bottom")},
        "score": round(face.score, 4),
        "pose": {name: round(getattr(face.pose, name), 2) for name in ("yaw", "pitch", "roll")},
        "advice": list(face.quality.flags),
        "emotions": {name: round(float(v), 5) for name, v in zip(EMOTIONS, expression.emotions, strict=True)},
        "valence": round(expression.valence, 4),
        "arousal": round(expression.arousal, 4),
        "actions": {name: round(float(v), 4) for name, v in zip(BLENDSHAPE_NAMES, face.blendshapes, strict=True)},
        "vector": [round(float(value), 6) for value in expression.vector],
        "compact": [round(float(value), 6) for value in expression.compact],
        "backend": expression.backend,
    }


def photo_record(reading: PhotoReading) -> dict[str, Any]:
    """Return a photo's reading; boxes are in pixels of the picture as it was given."""
    return {
        "name": reading.name,
        "width": reading.width,
        "height": reading.height,
        "faces": [{"number": item.number} | face_record(item.face, item.expression) for item in reading.faces],
        "milliseconds": {step.name: round(step.milliseconds, 1) for step in reading.steps},
    }


def clip_record(reading: ClipReading) -> dict[str, Any]:
    """Return a clip's reading, one entry per frame; `face` is null where none was found."""
    return {
        "name": reading.name,
        "duration_s": round(reading.duration_s, 3),
        "complete": reading.is_complete,
        "frames": [
            {
                "time_s": round(frame.time_s, 4),
                "face": face_record(frame.face, frame.expression) if frame.face and frame.expression else None,
            }
            for frame in reading.frames
        ],
    }


def comparison_record(comparison: Comparison, names: list[str]) -> dict[str, Any]:
    """Return the distances between the named faces."""
    return {
        "faces": names,
        "distances": [[round(float(value), 5) for value in row] for row in comparison.distances],
        "odd_one_out": comparison.odd,
        "lead": round(comparison.lead, 4),
        "close_call": comparison.is_close_call if comparison.odd is not None else None,
        "closest_pair": list(comparison.closest),
    }


def as_json(record: dict[str, Any]) -> bytes:
    """Return the record as a JSON file."""
    return json.dumps(record, indent=1, ensure_ascii=False).encode()


def faces_csv(rows: list[tuple[str, float, Face, Expression]], *, first: str, second: str) -> bytes:
    """Return one row per face: two columns to tell them apart, then box, emotions, actions and vector."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    sides = ("left", "top", "right", "bottom")
    vector = [f"vector_{place}" for place in range(len(rows[0][3].vector) if rows else 64)]
    writer.writerow([first, second, *sides, "score", "valence", "arousal", *EMOTIONS, *BLENDSHAPE_NAMES, *vector])
    for one, other, face, expression in rows:
        numbers = [*(getattr(face.box, side) for side in sides), face.score, expression.valence, expression.arousal]
        numbers += [*expression.emotions, *face.blendshapes, *expression.vector]
        writer.writerow([_plain_cell(one), f"{other:g}", *(f"{float(number):.6g}" for number in numbers)])
    return stream.getvalue().encode()


def _plain_cell(text: str) -> str:
    """Keep spreadsheets from taking a file name for a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" else text


def photo_csv(reading: PhotoReading) -> bytes:
    """Return one row per face of a photo."""
    rows = [(reading.name, float(item.number), item.face, item.expression) for item in reading.faces]
    return faces_csv(rows, first="picture", second="number")


def clip_csv(reading: ClipReading) -> bytes:
    """Return one row per frame with a face."""
    rows = [
        (reading.name, frame.time_s, frame.face, frame.expression)
        for frame in reading.frames
        if frame.face is not None and frame.expression is not None
    ]
    return faces_csv(rows, first="clip", second="time_s")


def faces_npz(numbers: list[float], faces: list[Face], expressions: list[Expression], *, key: str) -> bytes:
    """Return arrays with one row per face: vectors, emotions, actions, landmarks and boxes."""
    stream = io.BytesIO()
    count = len(faces)
    arrays: dict[str, Any] = {
        key: np.array(numbers, np.float64),
        "vector": np.array([item.vector for item in expressions], np.float32).reshape(count, -1),
        "compact": np.array([item.compact for item in expressions], np.float32).reshape(count, -1),
        "emotions": np.array([item.emotions for item in expressions], np.float32).reshape(count, -1),
        "valence_arousal": np.array([(e.valence, e.arousal) for e in expressions], np.float32).reshape(count, 2),
        "actions": np.array([face.blendshapes for face in faces], np.float32).reshape(count, -1),
        "landmarks": np.array([face.landmarks for face in faces], np.float32).reshape(count, -1, 3),
        "emotion_names": np.array(EMOTIONS),
        "action_names": np.array(BLENDSHAPE_NAMES),
        "backend": np.array(expressions[0].backend if expressions else ""),
    }
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def photo_npz(reading: PhotoReading) -> bytes:
    """Return a photo's faces as arrays."""
    items = reading.faces
    numbers = [float(item.number) for item in items]
    return faces_npz(numbers, [i.face for i in items], [i.expression for i in items], key="number")


def clip_npz(reading: ClipReading) -> bytes:
    """Return the frames with a face as arrays."""
    found = [
        (f.time_s, f.face, f.expression) for f in reading.frames if f.face is not None and f.expression is not None
    ]
    return faces_npz([t for t, _, _ in found], [f for _, f, _ in found], [e for _, _, e in found], key="time_s")


def annotated(reading: PhotoReading) -> Image:
    """Return the photo with every face framed and named."""
    canvas = Pillow.fromarray(reading.picture)
    pen = ImageDraw.Draw(canvas)
    edge = max(reading.picture.shape[:2])
    width, font = max(2, edge // 400), ImageFont.load_default(size=max(13, edge // 60))
    for item in reading.faces:
        _annotate(pen, item, scaled(item.face, reading.factor).box, width=width, font=font)
    return np.asarray(canvas)


def _annotate(
    pen: ImageDraw.ImageDraw,
    item: FaceReading,
    box: Box,
    *,
    width: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    best = int(np.argmax(item.expression.emotions))
    colour = EMOTION_COLOURS[EMOTIONS[best]]
    words = f"{item.number}  {EMOTIONS[best]} {item.expression.emotions[best] * 100:.0f} %"
    pen.rectangle((box.left, box.top, box.right, box.bottom), outline=colour, width=width)
    left, top, right, bottom = pen.textbbox((box.left, box.bottom + width), words, font=font)
    pen.rectangle((left - 4, top - 3, right + 4, bottom + 3), fill="#15171A")
    pen.text((box.left, box.bottom + width), words, font=font, fill="#FFFFFF")


def annotated_png(reading: PhotoReading) -> bytes:
    """Return the annotated photo as a PNG file."""
    return encode_image(annotated(reading), "PNG")
