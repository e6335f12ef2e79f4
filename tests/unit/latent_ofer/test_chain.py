"""The official parts joined: the hidden part and nothing else is replaced, with whichever parts there are."""

from __future__ import annotations

import numpy as np
import pytest

from models.latent_ofer import rule
from models.latent_ofer.chain import OfficialChain
from models.latent_ofer.classifier import LatentClassifier
from models.latent_ofer.dan import LABELS
from models.latent_ofer.hybrid import HybridRefiner
from models.latent_ofer.mae import MaskedAutoencoder
from models.types import Image


@pytest.fixture(scope="module")
def autoencoder() -> MaskedAutoencoder:
    """As wide as the classifier needs it at the end, small everywhere else."""
    return rule.build(
        lambda: MaskedAutoencoder(width=64, depth=1, heads=2, decoder_depth=1, decoder_heads=4), "mae", "chain"
    )


@pytest.fixture(scope="module")
def full(autoencoder: MaskedAutoencoder) -> OfficialChain:
    return OfficialChain(
        autoencoder,
        refiner=rule.build(HybridRefiner, "hybrid_G", "chain"),
        classifier=rule.build(LatentClassifier, "classifier", "chain"),
    )


@pytest.fixture
def crop(photo: Image) -> Image:
    return photo[40:280, 110:350]


@pytest.fixture
def mask(crop: Image) -> np.ndarray:
    hidden = np.zeros(crop.shape[:2], np.bool_)
    hidden[120:180, 70:150] = True
    return hidden


def test_all_stages_of_one_face(full: OfficialChain, crop: Image, mask: np.ndarray) -> None:
    filled = full.fill(crop, mask)
    assert filled.hidden.shape == (14, 14) and 0 < filled.hidden.sum() < 50
    assert (filled.pasted[~mask] == crop[~mask]).all() and (filled.pasted[mask] != crop[mask]).any()
    assert filled.refined is not None and filled.refined.shape == filled.coarse.shape == crop.shape
    assert (filled.pasted[mask] == filled.refined[mask]).all()
    assert filled.before is not None and filled.after is not None
    assert tuple(filled.after.probabilities) == LABELS
    for emotions in (filled.before, filled.after):
        assert sum(emotions.probabilities.values()) == pytest.approx(1, abs=1e-4)
        assert emotions.attention.shape == (7, 7) and emotions.attention.max() == pytest.approx(1)
    assert set(filled.milliseconds) == {"coarse", "refined", "before", "after"}


def test_the_autoencoder_alone_fills_too(autoencoder: MaskedAutoencoder, crop: Image, mask: np.ndarray) -> None:
    filled = OfficialChain(autoencoder).fill(crop, mask)
    assert filled.refined is None and filled.before is None and filled.after is None
    assert (filled.pasted[mask] == filled.coarse[mask]).all()
    assert (filled.pasted[~mask] == crop[~mask]).all()


def test_what_is_hidden_does_not_reach_the_result(
    autoencoder: MaskedAutoencoder, crop: Image, mask: np.ndarray
) -> None:
    painted = crop.copy()
    painted[mask] = (255, 0, 255)
    chain = OfficialChain(autoencoder)
    assert (chain.fill(painted, mask).pasted[mask] == chain.fill(crop, mask).pasted[mask]).mean() > 0.99


def test_a_mask_that_cannot_be_used_is_refused(autoencoder: MaskedAutoencoder, crop: Image) -> None:
    chain = OfficialChain(autoencoder)
    with pytest.raises(ValueError, match="mask"):
        chain.fill(crop, np.zeros((10, 10), np.bool_))
    with pytest.raises(ValueError, match="nothing of the face"):
        chain.fill(crop, np.ones(crop.shape[:2], np.bool_))
