"""The official landmarker behind our door; runs where the extra and its file are."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from models import registry
from models.faces.finder import FaceFinder
from models.weights import find_weight

pytest.importorskip("mediapipe", reason="the extra mien[mediapipe] is not installed")


@pytest.mark.filterwarnings("ignore")
def test_both_finders_agree_on_the_astronaut(photo):
    from models.faces.mediapipe_backend import MediaPipeFinder  # noqa: PLC0415 - after importorskip

    task_file = find_weight("face_landmarker", Path(os.environ.get("MIEN_WEIGHTS_DIR", "absent")))
    if task_file is None:
        pytest.skip("face_landmarker.task is not in MIEN_WEIGHTS_DIR")
    own = registry.load("faces")
    assert isinstance(own, FaceFinder)
    theirs = MediaPipeFinder(task_file, own).find(photo)
    ours = own.find(photo)
    assert len(theirs) == len(ours) == 1
    apart = np.linalg.norm(theirs[0].landmarks[:, :2] - ours[0].landmarks[:, :2], axis=1).mean()
    assert apart / theirs[0].iris_distance < 0.1
    assert theirs[0].pose.yaw == pytest.approx(ours[0].pose.yaw, abs=10)
