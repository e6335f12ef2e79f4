"""Mirroring twice changes nothing, and left becomes right."""

from __future__ import annotations

import numpy as np

from models.faces.names import (
    BLENDSHAPE_NAMES,
    IRIS_LEFT,
    IRIS_RIGHT,
    MIRRORED_BLENDSHAPES,
    MIRRORED_LANDMARKS,
    PLAIN_NAMES,
)


def test_mirroring_twice_is_nothing():
    assert (MIRRORED_LANDMARKS[MIRRORED_LANDMARKS] == np.arange(478)).all()
    assert (MIRRORED_BLENDSHAPES[MIRRORED_BLENDSHAPES] == np.arange(52)).all()


def test_left_and_right_change_places():
    assert MIRRORED_LANDMARKS[IRIS_LEFT] == IRIS_RIGHT
    assert MIRRORED_LANDMARKS[1] == 1, "the nose tip has no partner"
    left = BLENDSHAPE_NAMES.index("mouthSmileLeft")
    assert BLENDSHAPE_NAMES[MIRRORED_BLENDSHAPES[left]] == "mouthSmileRight"


def test_every_blendshape_has_plain_words_of_its_own():
    assert len(BLENDSHAPE_NAMES) == 52
    assert len(set(PLAIN_NAMES.values())) == 52
