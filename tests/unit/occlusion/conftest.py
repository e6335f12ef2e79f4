"""A chain of small untrained networks: enough to see shapes, rules and determinism."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models import registry
from models.deepfever import ExpressionNet
from models.faces.network import FaceNet
from models.occlusion.autoencoder import FaceAutoencoder
from models.occlusion.detector import COLOURS, PatchSvdd
from models.occlusion.diffusion import FaceDiffusion
from models.occlusion.reader import Networks, OcclusionReader
from models.occlusion.recogniser import LatentExpression
from models.occlusion.refiner import Refiner
from models.types import Box, Face, HeadPose, Image

TRUNK = {"widths": (8, 8, 8, 8), "depths": (2, 2, 2)}


def small_autoencoder() -> FaceAutoencoder:
    """One block each, 24 wide, with a prior that knows a few directions."""
    torch.manual_seed(0)
    network = FaceAutoencoder(
        width=24, depth=5, heads=2, decoder_width=24, decoder_depth=1, decoder_heads=2, components=6
    )
    network.prior.mean.fill_(0.5)
    network.prior.basis.normal_().mul_(0.05)
    network.prior.variance.fill_(0.01)
    torch.nn.init.normal_(network.decoder_pred.weight, std=0.02)
    return network.eval()


@pytest.fixture(scope="session")
def reader() -> OcclusionReader:
    """Every network is there, and none has learned anything."""
    autoencoder = small_autoencoder()
    refiner = Refiner(widths=(8, 8, 8), latent_width=24)
    torch.nn.init.normal_(refiner.leave.weight, std=0.02)
    recogniser = LatentExpression(width=24, narrow=2, features=16, hidden=8, chosen=20)
    torch.nn.init.normal_(recogniser.change.weight, std=0.1)
    networks = Networks(
        autoencoder=autoencoder,
        landmarks=FaceNet(**TRUNK, squeezed=4, hidden_size=16).eval(),
        expression=ExpressionNet(**TRUNK, hidden_size=16).eval(),
        expression_backend="small-00000000",
        detector=PatchSvdd(features=2 * 24 + 3 * 8 + COLOURS, hidden=8, size=8).eval(),
        refiner=refiner.eval(),
        recogniser=recogniser.eval(),
        diffusion=FaceDiffusion(widths=(16, 16, 32)).eval(),
    )
    with torch.no_grad():  # an untrained landmark network would put all points in one place
        networks.landmarks.landmarks.weight.zero_()
        networks.landmarks.landmarks.bias.copy_(torch.from_numpy(average_face() / 1.5).flatten())
    return OcclusionReader(networks, backend="small-00000000", device=torch.device("cpu"))


def average_face() -> NDArray[np.float32]:
    """(478, 3) an average face's landmarks, about one unit from the middle, x right and y down."""
    shape = registry.shipped("faces")[1]["mean_shape"].numpy()
    shape = shape - (shape.min(0) + shape.max(0)) / 2
    return np.asarray(shape / np.abs(shape[:, :2]).max(), np.float32)


@pytest.fixture(scope="session")
def photo_and_face() -> tuple[Image, Face]:
    """A made picture, smooth and coloured, with the average face's landmarks in it."""
    noise = np.random.default_rng(0).integers(40, 215, (16, 16, 3)).astype(np.uint8)
    image = cv2.resize(noise, (320, 300), interpolation=cv2.INTER_CUBIC)
    points = average_face() * 90 + np.array([160, 150, 0], np.float32)
    box = Box(*map(float, (*points.min(0)[:2], *points.max(0)[:2])))
    return image, Face(box, 1.0, points, np.zeros(52, np.float32), HeadPose(0, 0, 0))
