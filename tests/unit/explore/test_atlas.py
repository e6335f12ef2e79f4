"""Vectors on disk, exact neighbours, layouts, and readings that follow deletions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.engine import open_database
from db.store import Store
from db.types import FaceRow, NewFace
from models.errors import BadInput, Cancelled
from models.types import EMOTIONS, Box, Expression, Face, HeadPose, Image
from studio.services import explore
from studio.services.atlas import FORMAT, Atlas, NothingToMap, forget_gone, make_atlas, nearest, open_atlas, save_atlas
from studio.services.background import Done, Step, steps_of
from studio.services.columns import column, column_choices, shown_rows
from studio.services.gallery_reading import forget_deleted, load_readings, read_gallery, unread
from studio.services.layouts import LayoutChoice, aligned, layout, place
from studio.services.nearest import gallery_picture
from studio.services.sprites import PAGE, slots, sprite_page
from tests.drawn_faces import BACKEND, add_drawn_gallery


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    engine = open_database(f"sqlite:///{tmp_path / 'mien.sqlite'}")
    yield Store(engine)
    engine.dispose()


@pytest.fixture
def atlas(store: Store, tmp_path: Path) -> Atlas:
    add_drawn_gallery(store)
    return make_atlas(store, tmp_path / "explore", backend=BACKEND)


def random_atlas(folder: Path, count: int, *, dimension: int = 64, seed: int = 0) -> Atlas:
    vectors = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.arange(count) * 3 + 5
    return save_atlas(folder / "random", "x@1", {1: "one"}, ids, vectors, np.ones(count, np.int64))


@given(seed=st.integers(0, 1000), most=st.integers(1, 30), count=st.integers(31, 200))
@settings(max_examples=25, deadline=None)
def test_nearest_equals_a_full_sort(tmp_path_factory: pytest.TempPathFactory, seed: int, most: int, count: int) -> None:
    atlas = random_atlas(tmp_path_factory.mktemp("atlas"), count, dimension=8, seed=seed)
    row = seed % count
    exact = np.linalg.norm(atlas.vectors.astype(np.float64) - atlas.vectors[row].astype(np.float64), axis=1)
    exact[row] = np.inf
    found = nearest(atlas, np.asarray(atlas.vectors[row]), most=most, without=row)
    np.testing.assert_allclose(found.distances, np.sort(exact)[:most], rtol=1e-6)
    assert row not in found.rows


def test_nearest_works_across_blocks(tmp_path: Path) -> None:
    atlas = random_atlas(tmp_path, 40_000, dimension=16)
    query = np.asarray(atlas.vectors[39_999])
    found = nearest(atlas, query, most=5)
    exact = np.linalg.norm(np.asarray(atlas.vectors, np.float64) - query, axis=1)
    np.testing.assert_array_equal(found.rows, np.argsort(exact)[:5])
    with pytest.raises(BadInput, match="cannot be compared"):
        nearest(atlas, query[:8], most=5)


def test_an_atlas_is_named_by_its_content_and_opened_by_name_only(atlas: Atlas, store: Store, tmp_path: Path) -> None:
    home = tmp_path / "explore"
    assert make_atlas(store, home, backend=BACKEND).key == atlas.key
    np.testing.assert_array_equal(open_atlas(home, atlas.key).vectors, atlas.vectors)
    for key in ("", "../../etc", f"{atlas.key}/..", atlas.key[:-1] + "g", "0" * 12 + "-" + "0" * 16):
        with pytest.raises(NothingToMap):
            open_atlas(home, key)
    store.delete_face(int(atlas.ids[0]))
    after = make_atlas(store, home, backend=BACKEND)
    assert after.key != atlas.key and len(after) == len(atlas) - 1
    with pytest.raises(NothingToMap):
        make_atlas(store, home, backend="nobody@1")


def test_galleries_filled_in_turns_lie_in_the_order_of_their_ids(store: Store, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    galleries = [store.add_gallery(name, credit="", licence="CC0-1.0", source="test").id for name in ("one", "other")]
    given: dict[int, np.ndarray] = {}
    for turn in range(4):
        faces = [NewFace(None, key=f"{turn} {number}") for number in range(3)]
        ids = store.add_faces(galleries[turn % 2], faces)
        vectors = rng.standard_normal((3, 4)).astype(np.float32)
        store.add_vectors(ids, vectors, backend=BACKEND)
        given |= dict(zip(ids, vectors, strict=True))
    atlas = make_atlas(store, tmp_path / "explore", backend=BACKEND)
    np.testing.assert_array_equal(atlas.ids, sorted(given))
    np.testing.assert_array_equal(atlas.vectors, [given[face_id] for face_id in sorted(given)])
    assert np.asarray(atlas.gallery_of).tolist() == [galleries[row // 3 % 2] for row in range(12)]
    blocks = list(store.vector_blocks(galleries[0], backend=BACKEND, size=4))
    assert [len(ids) for ids, _ in blocks] == [4, 2]
    assert not list((tmp_path / "explore").glob("*.part"))


def test_no_atlas_outlives_its_faces_or_its_version(atlas: Atlas, store: Store, tmp_path: Path) -> None:
    home = tmp_path / "explore"
    gallery = next(iter(atlas.galleries))
    part = make_atlas(store, home, backend=BACKEND, gallery_ids=[gallery])
    assert part.folder != atlas.folder and forget_gone(store, home) == 0
    store.delete_face(int(atlas.ids[0]))
    after = make_atlas(store, home, backend=BACKEND)
    assert not part.folder.exists() and not atlas.folder.exists() and after.folder.exists()
    about = after.folder / "atlas.json"
    about.write_text(about.read_text().replace(f'"format": {FORMAT}', '"format": 1'))
    assert forget_gone(store, home) == 1 and not after.folder.exists()


def test_ids_from_a_browser_are_looked_up(atlas: Atlas) -> None:
    odd: list[object] = [int(atlas.ids[3]), -1, 10**12, "2", None, 2.5, float(atlas.ids[0])]
    assert explore.selected_ids(atlas, odd) == [int(atlas.ids[0]), int(atlas.ids[3])]
    with pytest.raises(BadInput, match="not on the map"):
        explore.near_face(atlas, 10**9)


def test_pca_places_a_known_vector_where_its_face_lies(atlas: Atlas) -> None:
    choice = LayoutChoice()
    places = layout(atlas, choice)
    assert places.shape == (len(atlas), 2)
    for row in (0, 7, 40):
        np.testing.assert_allclose(place(atlas, choice, np.asarray(atlas.vectors[row])), places[row], atol=1e-4)
    low, high = np.percentile(np.abs(places), [0, 100])
    assert low >= 0 and 0.9 < high < 2
    assert layout(atlas, LayoutChoice(dimensions=3)).shape == (len(atlas), 3)


@pytest.mark.slow
def test_a_new_face_falls_among_its_neighbours_on_a_map_without_a_formula(atlas: Atlas) -> None:
    pytest.importorskip("openTSNE")
    choice = LayoutChoice("tsne", neighbours=8)
    places = layout(atlas, choice)
    near = nearest(atlas, np.asarray(atlas.vectors[5]), most=5)
    found = place(atlas, choice, np.asarray(atlas.vectors[5]))
    assert (found >= places[near.rows].min(0) - 1e-5).all() and (found <= places[near.rows].max(0) + 1e-5).all()


@pytest.mark.slow
def test_tsne_reports_and_stops_when_told(atlas: Atlas) -> None:
    pytest.importorskip("openTSNE")
    shares: list[float | None] = []

    def report(step: str, share: float | None) -> bool:
        shares.append(share)
        return len(shares) < 4

    with pytest.raises(Cancelled):
        layout(atlas, LayoutChoice("tsne", neighbours=8), report)
    assert len(shares) == 4
    with pytest.raises(BadInput, match="neighbours"):
        layout(atlas, LayoutChoice("tsne", neighbours=100))


@pytest.mark.slow
def test_umap_with_one_seed_gives_one_map(atlas: Atlas) -> None:
    pytest.importorskip("umap")
    choice = LayoutChoice("umap", seed=3, neighbours=8)
    first = np.array(layout(atlas, choice))
    (atlas.folder / f"{choice.name()}.npy").unlink()
    np.testing.assert_array_equal(layout(atlas, choice), first)
    groups = column_of_tags(atlas)
    centres = np.stack([first[groups == group].mean(0) for group in np.unique(groups)])
    own = np.linalg.norm(first - centres[groups], axis=1)
    other = np.linalg.norm(first[:, None] - centres[None], axis=2).min(1)
    assert (own <= other + 1e-6).mean() > 0.8


def column_of_tags(atlas: Atlas) -> np.ndarray:
    return np.arange(len(atlas)) % 4  # as the drawn faces are made


def test_aligned_undoes_turn_mirror_scale_and_shift() -> None:
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(50, 2)).astype(np.float32)
    turn = np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]]) @ np.diag([1, -1])
    moved = (3 * reference @ turn + [5, -2]).astype(np.float32)
    np.testing.assert_allclose(aligned(moved, reference), reference, atol=1e-4)


def test_clusters_follow_the_expressions_and_tags_are_columns(atlas: Atlas, store: Store, tmp_path: Path) -> None:
    home = tmp_path / "explore"
    names = dict((name, title) for title, name in column_choices(store, atlas, home))
    assert names == {"cluster": "Cluster", "tag:emotion": "Tag: emotion"}
    tags = column(store, atlas, home, "tag:emotion")
    clusters = column(store, atlas, home, "cluster")
    assert sorted(tags.labels) == ["anger", "happiness", "sadness", "surprise"]
    for cluster in range(len(clusters.labels)):
        inside = tags.values[clusters.values == cluster].astype(int)
        assert np.bincount(inside).max() >= len(inside) / 2
    assert shown_rows(tags, labels=["anger"]).sum() == 12
    with pytest.raises(BadInput, match="colour by"):
        column(store, atlas, home, "action:nothing")


def test_sprites_hold_every_face_once_and_neighbours_share_pages(atlas: Atlas, store: Store, tmp_path: Path) -> None:
    assert sorted(slots(atlas).tolist()) == list(range(len(atlas)))
    page = sprite_page(store, atlas, 0)
    assert page[:2] == b"\xff\xd8"
    with pytest.raises(BadInput):
        sprite_page(store, atlas, 1)
    with pytest.raises(BadInput):
        sprite_page(store, atlas, -1)
    big = random_atlas(tmp_path, 4096)
    pages = slots(big) // PAGE
    places = np.asarray(layout(big, LayoutChoice()))
    within = np.mean([places[pages == number].std(0).mean() for number in range(16)])
    assert within < 0.5 * places.std(0).mean()


def emotional(picture: Image, row: FaceRow) -> tuple[list[Face], list[Expression]]:
    """Stands for the networks: reads mean colours off a picture, so that each face has its own."""
    emotions = np.full(8, 0.05, np.float32)
    emotions[int(picture.mean()) % 8] = 0.65
    vector = np.zeros(16, np.float32)
    vector[int(picture.mean()) % 16] = 1
    shapes = np.full(52, 0.1, np.float32)
    points = np.zeros((478, 3), np.float32)
    face = Face(Box(0, 0, 160, 160), 1.0, points, shapes, HeadPose(0, 0, 0))
    return [face], [Expression(vector, vector, emotions, 0.2, -0.1, "new@1")]


def test_readings_are_kept_continued_and_forgotten_with_the_face(atlas: Atlas, store: Store, tmp_path: Path) -> None:
    home = tmp_path / "explore"
    reading = read_gallery(store, home, backend="new@1", read=emotional)
    for done, _ in reading:
        if done == 10:
            break
    reading.close()
    assert len(load_readings(home, "new@1").ids) == 10
    assert len(unread(store, home, backend="new@1")) == len(atlas) - 10
    list(read_gallery(store, home, backend="new@1", read=emotional))
    assert unread(store, home, backend="new@1") == []
    second = make_atlas(store, home, backend="new@1")
    emotion = column(store, second, home, "emotion")
    assert sorted(emotion.labels) == sorted(EMOTIONS) and not np.isnan(emotion.values).any()
    row = 3
    picture, _ = gallery_picture(store, int(second.ids[row]))
    assert emotion.words(row) == EMOTIONS[int(picture.mean()) % 8]
    gone = int(second.ids[4])
    store.delete_face(gone)
    forget_deleted(store, home, backend="new@1")
    assert gone not in load_readings(home, "new@1").ids


def test_downloads_carry_tags_credits_and_vectors(atlas: Atlas, store: Store, tmp_path: Path) -> None:
    chosen = [int(face_id) for face_id in atlas.ids[:3]]
    assert explore.tag_faces(store, [*chosen, 10**9], tag=" mood ", value="=joking") == 3
    records = explore.record(store, atlas, tmp_path / "explore", chosen)
    assert [item["face"] for item in records] == chosen
    np.testing.assert_allclose(records[1]["vector"], atlas.vectors[1], atol=1e-5)
    lines = explore.as_csv(records).decode().splitlines()
    assert len(lines) == 4 and "'=joking" in lines[1] and lines[0].startswith("face,gallery,licence")
    assert b"CC0-1.0" in explore.as_json(records)
    assert explore.as_pictures(store, chosen)[:2] == b"PK"
    with pytest.raises(BadInput, match="name and a value"):
        explore.tag_faces(store, chosen, tag="", value="x")


def test_steps_of_work_are_reported_and_errors_come_through() -> None:
    def work(report: object) -> int:
        return 7

    steps = list(steps_of(work, first="begin"))
    last = steps[-1]
    assert isinstance(last, Done) and last.result == 7
    assert all(isinstance(step, Step) for step in steps[:-1])

    def fails(report: object) -> int:
        raise BadInput("no")

    with pytest.raises(BadInput, match="no"):
        list(steps_of(fails, first="begin"))
