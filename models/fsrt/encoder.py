"""The set-latent encoder: one or several pictures of a face become a set of 1024 tokens each (paper, section 3.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from models.fsrt.expression_encoder import EXPRESSION_CHANNELS
from models.fsrt.posenc import KEYPOINT_CHANNELS, PIXEL_CHANNELS, encode_keypoints, encode_pixels, pixel_grid
from models.fsrt.transformer import SelfAttention, Transformer

LATENT_CHANNELS = 768
INPUT_CHANNELS = 3 + KEYPOINT_CHANNELS + PIXEL_CHANNELS + EXPRESSION_CHANNELS
PIXEL_START = 3 + KEYPOINT_CHANNELS
PIXEL_END = PIXEL_START + PIXEL_CHANNELS


class ConvPair(nn.Module):
    """Two 3x3 convolutions without bias, the second of which halves the size."""

    def __init__(self, channels_in: int, channels_between: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels_in, channels_between, kernel_size=3, padding=1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels_between, 2 * channels_between, kernel_size=3, padding=1, stride=2, bias=False),
            nn.ReLU(inplace=True),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, in, h, w) to (B, 2 * between, h / 2, w / 2)."""
        return self.layers(maps)


def constant_response(weight: Tensor, values: Tensor, *, size: tuple[int, int]) -> Tensor:
    """Convolve maps that are constant over the picture: weight (out, in, 3, 3), values (B, in) to (B, out, h, w).

    With zeros beyond the border only nine answers exist (corners, edges, middle); they are those of a 3x3 picture.
    """
    nine = F.conv2d(values[:, :, None, None].expand(-1, -1, 3, 3), weight, padding=1)  # (B, out, 3, 3)
    rows, columns = (torch.ones(n, dtype=torch.long, device=values.device) for n in size)
    for indices in (rows, columns):
        indices[0], indices[-1] = 0, 2
    return nine[:, :, rows][:, :, :, columns]


class SetLatentEncoder(ModelMixin, ConfigMixin):
    """Encode the pictures of one face, with their keypoints and expressions, as one set of tokens."""

    @register_to_config
    def __init__(self) -> None:
        super().__init__()
        self.conv_blocks = nn.ModuleList((ConvPair(INPUT_CHANNELS, 96), ConvPair(192, 192), ConvPair(384, 384)))
        self.per_patch_linear = nn.Conv2d(LATENT_CHANNELS, LATENT_CHANNELS, kernel_size=1)
        attentions = [SelfAttention(LATENT_CHANNELS, heads=12) for _ in range(5)]
        self.transformer = Transformer(LATENT_CHANNELS, attentions, hidden=1536)

    def forward(self, images: Tensor, keypoints: Tensor, expressions: Tensor) -> Tensor:
        """Map N pictures per face to a latent (B, N * 1024, 768).

        images (B, N, 3, 256, 256) RGB in [0, 1]; keypoints (B, N, 10, 2); expressions (B, N, 256).
        """
        batch, sources = images.shape[:2]
        tokens = self.tokens(images.flatten(0, 1), keypoints.flatten(0, 1), expressions.flatten(0, 1))
        return self.transformer(tokens.unflatten(0, (batch, sources)).flatten(1, 2))  # (B, N * 1024, 768)

    def tokens(self, images: Tensor, keypoints: Tensor, expressions: Tensor) -> Tensor:
        """Map (B, 3, 256, 256), (B, 10, 2), (B, 256) to tokens (B, 1024, 768), row by row, before the transformer."""
        maps = self.first_layer(images, keypoints, expressions)  # (B, 96, 256, 256)
        for layer in self.conv_blocks[0].layers[1:]:
            maps = layer(maps)  # (B, 192, 128, 128)
        maps = self.conv_blocks[2](self.conv_blocks[1](maps))  # (B, 768, 32, 32)
        return self.per_patch_linear(maps).flatten(2).transpose(1, 2)

    def first_layer(self, images: Tensor, keypoints: Tensor, expressions: Tensor) -> Tensor:
        """Convolve the 483 input channels, to (B, 96, 256, 256); the 416 that do not vary over the picture apart."""
        weight = self.conv_blocks[0].layers[0].weight  # (96, 483, 3, 3)
        places = encode_pixels(pixel_grid(device=images.device)).permute(2, 0, 1)  # (64, 256, 256)
        varying = torch.cat((images, places.expand(len(images), -1, -1, -1)), dim=1)
        varying_weight = torch.cat((weight[:, :3], weight[:, PIXEL_START:PIXEL_END]), dim=1)
        constant = torch.cat((encode_keypoints(keypoints), expressions), dim=1)  # (B, 416)
        constant_weight = torch.cat((weight[:, 3:PIXEL_START], weight[:, PIXEL_END:]), dim=1)
        response = constant_response(constant_weight, constant, size=(images.shape[2], images.shape[3]))
        return F.conv2d(varying, varying_weight, padding=1) + response
