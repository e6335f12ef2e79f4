"""Networks with rule-made weights, made once for the folder; nobody changes them."""

from __future__ import annotations

import pytest

from models.fsrt import rule
from models.fsrt.decoder import PixelDecoder
from models.fsrt.encoder import SetLatentEncoder
from models.fsrt.expression_encoder import ExpressionEncoder
from models.fsrt.keypoints import KeypointDetector

WORD = "unit"


@pytest.fixture(scope="session")
def detector() -> KeypointDetector:
    return rule.fill(KeypointDetector(), WORD, "kp_detector")


@pytest.fixture(scope="session")
def expression_encoder() -> ExpressionEncoder:
    return rule.fill(ExpressionEncoder(), WORD, "expression_encoder")


@pytest.fixture(scope="session")
def encoder() -> SetLatentEncoder:
    return rule.fill(SetLatentEncoder(), WORD, "encoder")


@pytest.fixture(scope="session")
def decoder() -> PixelDecoder:
    return rule.fill(PixelDecoder(), WORD, "decoder")
