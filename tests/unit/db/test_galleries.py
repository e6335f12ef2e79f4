"""Faces, pictures and vectors come back as they went in, on both databases."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from db.errors import NotThere, WrongShape
from db.store import Store
from db.types import Backend, NewFace, NewPicture


def picture(name: str) -> NewPicture:
    content = name.encode()
    return NewPicture(hashlib.sha256(content).hexdigest(), "image/png", 4, 3, content)


def gallery_of(store: Store, count: int) -> tuple[int, list[int]]:
    gallery = store.add_gallery("people", credit="Ada", licence="CC0-1.0", source="made here")
    return gallery.id, store.add_faces(gallery.id, [NewFace(picture(f"face {i}")) for i in range(count)])


def test_a_gallery_is_made_once_and_keeps_its_credit(store: Store) -> None:
    first = store.add_gallery("people", credit="Ada", licence="CC0-1.0", source="made here")
    second = store.add_gallery("people", credit="somebody else", licence="MIT", source="elsewhere")
    assert first == second
    assert [gallery.credit for gallery in store.galleries()] == ["Ada"]
    with pytest.raises(NotThere, match="'nobody'"):
        store.gallery("nobody")


def test_a_face_comes_back_as_it_went_in(store: Store) -> None:
    gallery = store.add_gallery("people", credit="Ada", licence="CC0-1.0", source="made here")
    box = {"left": 1.5, "top": 2.0, "right": 3.0, "bottom": 4.25}
    face = NewFace(
        picture("a"), box=box, provenance={"recipe": {"seed": 3}}, tags={"emotion": "fear"}, identity="p1", consent="v1"
    )
    face_id = store.add_face(gallery.id, face)
    row = store.face(face_id)
    assert (row.box, row.provenance, row.tags) == (box, {"recipe": {"seed": 3}}, {"emotion": "fear"})
    assert (row.identity, row.consent, row.gallery_id) == ("p1", "v1", gallery.id)
    assert store.picture(face_id).content == b"a"
    assert store.add_face(gallery.id, face) == face_id


def test_two_faces_of_one_photo_share_its_bytes_until_the_last_is_deleted(store: Store) -> None:
    gallery = store.add_gallery("people", credit="Ada", licence="CC0-1.0", source="made here")
    boxes = [{"left": x, "top": 0.0, "right": x + 1, "bottom": 1.0} for x in (0.0, 1.0)]
    first, second = store.add_faces(gallery.id, [NewFace(picture("a"), box=box) for box in boxes])
    assert first != second
    store.delete_face(first)
    assert store.picture(second).content == b"a"
    store.delete_face(second)
    third = store.add_face(gallery.id, NewFace(None, key="an address"))
    with pytest.raises(NotThere):
        store.picture(third)
    assert store.faces(gallery.id, with_picture=True) == []


def test_faces_are_filtered_by_all_tags(store: Store) -> None:
    gallery_id, (one, two) = gallery_of(store, 2)
    store.tag_face(one, {"emotion": "fear", "light": "left"})
    store.tag_face(two, {"emotion": "fear"})
    assert [face.id for face in store.faces(gallery_id, tags={"emotion": "fear", "light": "left"})] == [one]
    assert [face.id for face in store.faces(gallery_id, tags={"emotion": "fear"})] == [one, two]


def test_unknown_ids_are_left_out_and_many_ids_are_no_problem(store: Store) -> None:
    _, ids = gallery_of(store, 3)
    assert set(store.faces_by_id([*ids, *range(10_000, 12_000)])) == set(ids)


def test_vectors_of_different_backends_never_mix(store: Store) -> None:
    gallery_id, ids = gallery_of(store, 3)
    ours, theirs = np.random.default_rng(0).normal(size=(2, 3, 5)).astype(np.float32)
    store.add_vectors(ids, ours, backend="deepfever@aa")
    store.add_vectors(ids[:2], theirs[:2], backend=Backend("deepfever", "bb"))
    found, matrix = store.vectors(gallery_id, backend="deepfever@aa")
    assert found == ids
    np.testing.assert_array_equal(matrix, ours)
    assert store.vectors(gallery_id, backend="deepfever")[1].shape == (0, 0)
    assert [str(backend) for backend in store.backends(gallery_id)] == ["deepfever@aa", "deepfever@bb"]
    store.add_vectors(ids[:1], theirs[2:], backend="deepfever@aa")
    np.testing.assert_array_equal(store.vectors(gallery_id, backend="deepfever@aa")[1][0], theirs[2])


def test_a_deleted_face_takes_its_vectors_along(store: Store) -> None:
    gallery_id, ids = gallery_of(store, 2)
    store.add_vectors(ids, np.eye(2, dtype=np.float32), backend="deepfever@aa")
    store.delete_face(ids[0])
    assert store.vectors(gallery_id, backend="deepfever@aa")[0] == ids[1:]
    with pytest.raises(NotThere):
        store.delete_face(ids[0])


@pytest.mark.parametrize("matrix", [np.zeros((1, 4)), np.zeros(4), np.full((2, 4), np.nan)])
def test_vectors_that_cannot_be_right_are_refused(store: Store, matrix: np.ndarray) -> None:
    _, ids = gallery_of(store, 2)
    with pytest.raises(WrongShape):
        store.add_vectors(ids, matrix.astype(np.float32), backend="deepfever@aa")


def test_adding_many_faces_is_all_or_nothing(store: Store) -> None:
    gallery = store.add_gallery("people", credit="Ada", licence="CC0-1.0", source="made here")
    with pytest.raises(WrongShape, match="key"):
        store.add_faces(gallery.id, [NewFace(picture("a")), NewFace(None)])
    assert store.count_faces(gallery.id) == 0
