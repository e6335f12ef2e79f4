"""The expression encoder: what the detector saw around its ten keypoints, as one vector."""

from __future__ import annotations

import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from models.fsrt.keypoints import FEATURE_CHANNELS, DetectedKeypoints
from models.fsrt.posenc import KEYPOINTS

EXPRESSION_CHANNELS = 256
CHANNELS_PER_KEYPOINT = 32
WINDOW = 7


class ExpressionEncoder(ModelMixin, ConfigMixin):
    """Read one unbounded 256-vector per picture off the keypoint detector's maps."""

    @register_to_config
    def __init__(self) -> None:
        super().__init__()
        pooled = KEYPOINTS * CHANNELS_PER_KEYPOINT
        self.expression = nn.Conv2d(FEATURE_CHANNELS, pooled, kernel_size=WINDOW)
        self.expression_mlp = nn.Sequential(
            nn.Linear(pooled, 640),
            nn.ReLU(),
            nn.Linear(640, 1280),
            nn.ReLU(),
            nn.Linear(1280, 640),
            nn.ReLU(),
            nn.Linear(640, EXPRESSION_CHANNELS),
        )

    def forward(self, detected: DetectedKeypoints) -> Tensor:
        """Map the detector's result for B pictures to (B, 256)."""
        return self.expression_mlp(self.pool(detected))

    def pool(self, detected: DetectedKeypoints) -> Tensor:
        """Sum the convolved features under each keypoint's heat map, (B, 320), keypoint outermost.

        Both steps are linear, so the 7x7 windows are summed under the heat map first and convolved once per keypoint:
        the same numbers for a thirtieth of the work.
        """
        windows = F.unfold(detected.features, WINDOW)  # (B, 35 * 49, 58 * 58)
        weights = detected.heatmaps.flatten(2)  # (B, 10, 58 * 58)
        seen = weights @ windows.transpose(1, 2)  # (B, 10, 35 * 49)
        kernels = self.expression.weight.view(KEYPOINTS, CHANNELS_PER_KEYPOINT, -1)  # (10, 32, 35 * 49)
        bias = self.expression.bias.view(KEYPOINTS, CHANNELS_PER_KEYPOINT)
        pooled = (seen[:, :, None] @ kernels.transpose(1, 2)).squeeze(2)  # (B, 10, 32)
        return (pooled + weights.sum(-1, keepdim=True) * bias).flatten(1)
