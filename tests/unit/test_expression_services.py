"""The arithmetic behind the Expression tab: odd one out, neighbours, key moments, labels, files."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import BadInput
from models.types import EMOTIONS, Box, Expression, Face, HeadPose, Quality
from studio.palette import DARK, LIGHT, Palette
from studio.services.comparison import compare, nearest
from studio.services.exports import faces_csv
from studio.services.expression import ADVICE, certainty, strongest_actions
from studio.services.plots import spread, timeline
from studio.services.timeline import ClipReading, FrameReading, follow, key_moments


def expression(direction: int, *, lean: float = 0.0, emotion: str = "happiness", backend: str = "test") -> Expression:
    """An expression whose vector points along one axis, leaning a little towards the next."""
    vector = np.zeros(64)
    vector[direction] = 1.0
    vector[direction + 1] = lean
    vector /= np.linalg.norm(vector)
    emotions = np.full(8, 0.04)
    emotions[EMOTIONS.index(emotion)] = 1.0 - 0.04 * 7
    compact = np.eye(16, dtype=np.float32)[0]
    return Expression(vector.astype(np.float32), compact, emotions.astype(np.float32), 0.2, 0.1, backend)


def face(left: float, *, size: float = 100.0, blendshapes: np.ndarray | None = None) -> Face:
    actions = np.zeros(52, np.float32) if blendshapes is None else blendshapes.astype(np.float32)
    box = Box(left, 10, left + size, 10 + size)
    return Face(box, 0.9, np.zeros((478, 3), np.float32), actions, HeadPose(0, 0, 0))


def test_of_three_the_odd_one_is_left_over_by_the_closest_pair() -> None:
    found = compare([expression(0), expression(5), expression(0, lean=0.3)])
    assert found.odd == 1 and found.closest == (0, 2) and not found.is_close_call
    assert found.distances[0, 1] == pytest.approx(np.sqrt(2), abs=1e-5)


@given(st.lists(st.lists(st.floats(-1, 1), min_size=3, max_size=3), min_size=3, max_size=3))
def test_three_faces_agree_with_the_triplet_rule(points: list[list[float]]) -> None:
    vectors = np.zeros((3, 64), np.float32)
    vectors[:, :3] = points
    vectors[:, 3] = 1.0
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    base = expression(0)
    found = compare([Expression(v, base.compact, base.emotions, 0.0, 0.0, "test") for v in vectors])
    assert {found.odd, *found.closest} == {0, 1, 2} or found.lead < 1e-4


def test_two_faces_have_no_odd_one_and_mixed_networks_are_refused() -> None:
    assert compare([expression(0), expression(1)]).odd is None
    with pytest.raises(BadInput, match="different networks"):
        compare([expression(0), expression(0, backend="other")])
    with pytest.raises(BadInput, match="1 faces"):
        compare([expression(0)])


def test_neighbours_come_nearest_first_with_their_rank() -> None:
    matrix = np.stack([expression(3).vector, expression(0, lean=0.2).vector, expression(0).vector])
    found = nearest(expression(0).vector, [7, 8, 9], matrix, most=2)
    assert [neighbour.face_id for neighbour in found] == [9, 8]
    assert found[0].closer_than == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("emotions", "flags", "word"),
    [
        ((0.9, 0.05), (), "clear"),
        ((0.9, 0.05), ("blurred",), "leaning"),
        ((0.74, 0.22), (), "leaning"),
        ((0.4, 0.35), (), "unsure"),
    ],
)
def test_certainty_follows_the_lead_and_the_quality(
    emotions: tuple[float, float], flags: tuple[str, ...], word: str
) -> None:
    base = expression(0)
    shares = np.zeros(8, np.float32)
    shares[1], shares[2] = emotions
    read = Expression(base.vector, base.compact, shares, 0.0, 0.0, "test")
    assert certainty(read, flags).word == word


def test_weak_actions_are_not_named() -> None:
    blendshapes = np.zeros(52, np.float32)
    blendshapes[[25, 44]] = 0.5, 0.05
    assert [action.technical for action in strongest_actions(blendshapes)] == ["jawOpen"]
    blendshapes[0] = 0.9  # the network's word for no action at all
    assert len(strongest_actions(blendshapes)) == 1


def test_the_followed_face_is_the_one_that_overlaps() -> None:
    left, right = face(0), face(300, size=140)
    assert follow([left, right], None) is right
    assert follow([left, right], face(10)) is left
    assert follow([right], face(0)) is right
    assert follow([left, right], face(900)) is None
    assert follow([], left) is None


def clip(directions: list[int | None]) -> ClipReading:
    frames = tuple(
        FrameReading(
            place * 0.1,
            b"",
            10,
            10,
            face(0) if direction is not None else None,
            expression(direction, emotion="surprise" if direction else "neutral") if direction is not None else None,
        )
        for place, direction in enumerate(directions)
    )
    return ClipReading("clip", len(frames) / 10, 0.1, frames, True, 1, 1.0)


def test_key_moments_are_the_frames_that_leave_the_usual_expression() -> None:
    directions: list[int | None] = [0] * 60
    directions[20:24], directions[45:49] = [8] * 4, [20] * 4
    directions[3] = None
    moments = key_moments(clip(directions))
    peaks = [moment for moment in moments if moment.title.startswith("surprise")]
    assert [20 <= peaks[0].index < 24, 45 <= peaks[1].index < 49] == [True, True]
    assert len(moments) == 3


def test_a_still_clip_has_only_its_calmest_frame() -> None:
    assert len(key_moments(clip([0] * 30))) == 1
    assert key_moments(clip([None] * 5)) == []


def test_the_timeline_names_frames_by_their_place_in_the_clip() -> None:
    reading = clip([None, 0, 0, None, 8, 0])
    figure = timeline(reading, key_moments(reading))
    assert [trace["customdata"] for trace in figure["data"]] == [[1, 2, 4, 5]] * len(figure["data"])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_labels_keep_their_distance_and_order(heights: list[float]) -> None:
    placed = spread(heights, gap=0.2)
    assert np.diff(np.sort(placed)).min(initial=1.0) >= 0.2 - 1e-9
    order = np.argsort(heights, kind="stable")
    assert (np.diff(np.array(placed)[order]) > 0).all()


def test_a_file_name_cannot_become_a_spreadsheet_formula() -> None:
    rows = faces_csv([("=HYPERLINK(1)", 1.0, face(0), expression(0))], first="picture", second="number")
    assert next(csv.DictReader(io.StringIO(rows.decode())))["picture"].startswith("'=")


def test_quality_flags_have_advice() -> None:

    assert set(Quality(True, True, True, True).flags) == set(ADVICE)


def _luminance(colour: str) -> float:
    channels = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_text_colours_have_aa_contrast(palette: Palette) -> None:
    pairs = [(text, ground) for text in ("ink", "quiet", "accent") for ground in ("ground", "panel")]
    pairs += [("ink", "wash"), ("on_accent", "accent"), ("warn", "warn_wash"), ("ink", "warn_wash"), ("warn", "panel")]
    for text, ground in pairs:
        bright, dim = sorted((_luminance(getattr(palette, text)), _luminance(getattr(palette, ground))), reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, (text, ground)
