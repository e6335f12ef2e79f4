"""Galleries are filled once: starter faces, folders of one's own, and faces fetched from a public home."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from db.engine import open_database
from db.store import Store
from models import registry
from models.appearance import starter_faces
from models.errors import BadInput, BadWeights, MissingWeights
from models.images import write_image
from models.types import Image
from studio.context import Context
from studio.services import gallery_sources as sources
from studio.services.gallery import About, add_folder, ensure_starter_gallery, summary
from studio.settings import read_settings

ABOUT = About("Mine", credit="me", licence="private", source="here", consent="asked")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(open_database(f"sqlite:///{tmp_path / 'mien.sqlite'}"))


@pytest.fixture
def folder(tmp_path: Path, photo: Image) -> Path:
    """Two readable pictures, one without a face, one that is no picture, and a text file nobody asks about."""
    folder = tmp_path / "pictures"
    (folder / "below").mkdir(parents=True)
    write_image(photo, folder / "astronaut.png")
    write_image(starter_faces()[0].image, folder / "below" / "starter.jpg")
    write_image(np.full((200, 200, 3), 128, np.uint8), folder / "grey.png")
    (folder / "broken.jpg").write_bytes(b"not a picture")
    (folder / "notes.txt").write_text("nothing")
    return folder


def test_the_starter_gallery_fills_once_with_vectors_and_provenance(store: Store, tmp_path: Path) -> None:
    context = Context(read_settings({"MIEN_DATA_DIR": str(tmp_path)}), store)
    seen: list[tuple[int, int]] = []
    gallery = ensure_starter_gallery(context, progress=lambda done, total, _: seen.append((done, total)))
    faces = store.faces(gallery.id, with_picture=True)
    assert len(faces) == len(starter_faces()) >= 240
    assert seen[-1][0] == seen[-1][1] == len(faces)
    ids, vectors = store.vectors(gallery.id, backend=registry.load("deepfever").backend)
    assert ids == [face.id for face in faces]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-4)
    assert faces[0].provenance["recipe"] == "mien train appearance"
    assert len(faces[0].provenance["sources"]) >= 5
    assert store.picture(faces[0].id).media_type == "image/webp"
    assert ensure_starter_gallery(context).id == gallery.id
    assert store.count_faces(gallery.id) == len(faces)


def test_a_folder_is_added_with_credit_and_what_failed_is_told(store: Store, folder: Path) -> None:
    added = add_folder(store, folder, ABOUT)
    assert added.faces == 2
    assert added.without_face == ("grey.png",)
    assert len(added.unreadable) == 1 and added.unreadable[0].startswith("broken.jpg")
    rows = store.faces(added.gallery.id)
    first = rows[0]
    assert first.provenance["sha256"] == hashlib.sha256((folder / "astronaut.png").read_bytes()).hexdigest()
    assert first.consent == "asked" and first.provenance["licence"] == "private"
    assert store.picture(first.id).path == str((folder / "astronaut.png").resolve())
    assert len(store.vectors(added.gallery.id, backend=registry.load("deepfever").backend)[0]) == 2
    told = "\n".join(summary(added))
    assert "2 faces added" in told and "credit: me" in told and "broken.jpg" in told
    again = add_folder(store, folder, ABOUT)
    assert again.faces == 0 and again.known == 2


def test_copies_are_kept_where_asked_and_an_empty_folder_is_refused(store: Store, folder: Path, tmp_path: Path) -> None:
    added = add_folder(store, folder / "below", ABOUT, copy=True)
    picture = store.picture(store.faces(added.gallery.id)[0].id)
    assert picture.path is None and picture.content == (folder / "below" / "starter.jpg").read_bytes()
    with pytest.raises(BadInput, match="no pictures"):
        add_folder(store, tmp_path / "nowhere", ABOUT)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def home(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A public repository's home: a listing by git hashes, and the files."""
    root = tmp_path / "home"
    served = root / sources.LONDON.repository / sources.LONDON.commit
    (served / "inst/london").mkdir(parents=True)
    entries = []
    for number, face in enumerate(starter_faces()[:2]):
        file = served / f"inst/london/00{number + 1}_03.jpg"
        write_image(face.image, file)
        content = file.read_bytes()
        name = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        entries.append({"path": f"inst/london/{file.name}", "type": "blob", "sha": name, "size": len(content)})
    entries.append({"path": "README.md", "type": "blob", "sha": "0" * 40, "size": 3})
    (served / "tree.json").write_text(json.dumps({"tree": entries}))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", served
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_source_is_fetched_checked_and_kept_with_its_labels(
    store: Store, home: tuple[str, Path], tmp_path: Path
) -> None:
    source = sources.with_home(sources.LONDON, home[0])
    target = sources.fetch(source, tmp_path / "fetched", progress=lambda *_: None)
    manifest = json.loads((target / sources.MANIFEST).read_text())
    assert manifest["commit"] == source.commit and len(manifest["sha256"]) == 2
    for name, value in manifest["sha256"].items():
        assert hashlib.sha256((target / name).read_bytes()).hexdigest() == value
    added = add_folder(store, target, source.about, label=sources.label)
    faces = store.faces(added.gallery.id)
    assert {face.identity for face in faces} == {"london-001", "london-002"}
    assert all(face.tags["instructed"] == "neutral" for face in faces)
    assert "DeBruine" in added.gallery.credit and added.gallery.licence == "CC-BY-4.0"


def test_a_file_that_is_not_the_commits_is_not_kept_and_a_missing_home_is_explained(
    home: tuple[str, Path], tmp_path: Path
) -> None:
    source = sources.with_home(sources.LONDON, home[0])
    (home[1] / "inst/london/001_03.jpg").write_bytes(b"something else")
    with pytest.raises(BadWeights, match="another file"):
        sources.fetch(source, tmp_path / "fetched", progress=lambda *_: None)
    assert not list((tmp_path / "fetched").rglob("*.jpg"))
    away = sources.with_home(sources.LONDON, "http://127.0.0.1:9")
    with pytest.raises(MissingWeights, match="--folder"):
        sources.fetch(away, tmp_path / "other", progress=lambda *_: None)
    with pytest.raises(BadInput, match="london, sfhq"):
        sources.source_called("paris")
