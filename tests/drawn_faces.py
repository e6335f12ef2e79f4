"""Simple drawn faces whose expression is known: two numbers bend the mouth and the brows."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from PIL import Image, ImageDraw

from db.store import Store
from db.types import NewFace, NewPicture

SIZE = 160
BACKEND = "drawn@1"
EXPRESSIONS = {"happiness": (1.0, 0.4), "sadness": (-1.0, 0.6), "anger": (-0.5, -1.0), "surprise": (0.2, 1.0)}


def draw(mouth: float, brows: float, *, skin: tuple[int, int, int]) -> bytes:
    """Return a PNG; mouth -1 (down) .. 1 (up), brows -1 (frowning) .. 1 (raised)."""
    picture = Image.new("RGB", (SIZE, SIZE), (236, 233, 228))
    pen = ImageDraw.Draw(picture)
    pen.ellipse((20, 10, 140, 150), fill=skin)
    for x, inner in ((55, 1), (105, -1)):
        pen.ellipse((x - 10, 60, x + 10, 76), fill="white")
        pen.ellipse((x - 4, 63, x + 4, 73), fill=(40, 40, 40))
        pen.line((x - 14 * inner, 50 - 8 * brows, x + 14 * inner, 50 - 2 * brows), fill=(60, 40, 30), width=4)
    points = [(80 + 30 * t, 112 + 14 * mouth * (1 - 2 * t * t) * 0.9) for t in np.linspace(-1, 1, 21)]
    pen.line(points, fill=(150, 40, 50), width=5)
    encoded = io.BytesIO()
    picture.save(encoded, "PNG")
    return encoded.getvalue()


def add_drawn_gallery(store: Store, *, count: int = 48, seed: int = 0) -> int:
    """Fill a gallery with drawn faces and their vectors (16 numbers, unit length); return its id."""
    rng = np.random.default_rng(seed)
    gallery = store.add_gallery("Drawn faces", credit="Mien's tests", licence="CC0-1.0", source="tests/drawn_faces.py")
    names = [list(EXPRESSIONS)[number % len(EXPRESSIONS)] for number in range(count)]
    bends = np.array([EXPRESSIONS[name] for name in names]) + rng.normal(0, 0.18, (count, 2))
    faces = []
    for name, (mouth, brows) in zip(names, bends, strict=True):
        skin = tuple(int(value) for value in np.array([224, 178, 140]) * rng.uniform(0.6, 1.1))
        content = draw(float(mouth), float(brows), skin=skin[:3])  # type: ignore[arg-type]
        kept = NewPicture(hashlib.sha256(content).hexdigest(), "image/png", SIZE, SIZE, content)
        faces.append(NewFace(kept, tags={"emotion": name}))
    ids = store.add_faces(gallery.id, faces)
    mixing = np.linalg.qr(rng.normal(size=(16, 16)))[0][:2]
    vectors = bends @ mixing + rng.normal(0, 0.05, (count, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    store.add_vectors(ids, vectors.astype(np.float32), backend=BACKEND)
    return gallery.id
