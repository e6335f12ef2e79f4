"""Latent-OFER's refiner (section 3.2): a U-Net that repairs a coarse reconstruction with what the photo shows.

State-dict keys are those of the released generator, whose levels nest as `model.model.1.model.6...`.
"""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from models.latent_ofer.assembly import SelfAssembly, shrink_mask
from models.latent_ofer.pixels import HOLE_COLOUR

SIZE = 256
"""Edge of the pictures the refiner works on."""


def norm(channels: int) -> nn.Module:
    """Instance norm with trained scale: a group norm with one channel a group, which is four times faster on a CPU."""
    return nn.GroupNorm(channels, channels)


def halve(channels: int) -> nn.Module:
    """Halve the picture with a widened 4x4 convolution."""
    return nn.Conv2d(channels, channels, 4, stride=2, padding=3, dilation=2)


def double(channels: int) -> nn.Module:
    """Double the picture."""
    return nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1)


def smooth(channels_in: int, channels: int) -> nn.Module:
    """Change the number of channels on the way up."""
    return nn.ConvTranspose2d(channels_in, channels, 3, padding=1)


class Level(nn.Module):
    """One step down, everything below it, one step up, and a skip of the first `skipped` input channels.

    `inner` is None at the bottom.
    """

    def __init__(
        self, channels: int, inner: nn.Module | None, *, down: int, joined: int, up: int, skipped: int
    ) -> None:
        super().__init__()
        if inner is None:
            layers = [nn.LeakyReLU(0.2), halve(channels), nn.ReLU(), double(channels), norm(up)]
        else:
            layers = [nn.LeakyReLU(0.2), halve(channels), norm(channels)]
            layers += [nn.LeakyReLU(0.2), nn.Conv2d(channels, down, 3, padding=1), *self.middle(down, inner)]
            layers += [nn.ReLU(), smooth(joined, up), norm(up), nn.ReLU(), double(up), norm(up)]
        self.model = nn.Sequential(*layers)
        self.skipped = skipped

    def middle(self, down: int, inner: nn.Module) -> list[nn.Module]:
        """Return the layers at the bottom of this level."""
        return [norm(down), inner]

    def forward(self, x: Tensor, hole: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, up + skipped, H, W); `hole` is for the level that assembles."""
        y = x
        for layer in self.model:
            y = layer(y, hole) if isinstance(layer, (Level, SelfAssembly)) else layer(y)
        return torch.cat([y, x[:, : self.skipped]], dim=1)


class AssemblingLevel(Level):
    """The level at a quarter of a quarter of the pixels (32x32), where hidden cells are written from visible ones."""

    def __init__(self, inner: nn.Module, way: str) -> None:
        self.way = way
        super().__init__(512, inner, down=1024, joined=1024, up=256, skipped=256)

    def middle(self, down: int, inner: nn.Module) -> list[nn.Module]:
        # The released net has modules here that only compute training losses; they take numbers 6 and 9.
        return [SelfAssembly(self.way), nn.Identity(), norm(down // 2), inner, nn.Identity()]


class Outermost(nn.Module):
    """The levels between a first and a last convolution."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Conv2d(12, 128, 3, padding=1), inner, nn.ReLU(), smooth(128, 3))

    def forward(self, x: Tensor, hole: Tensor) -> Tensor:
        first, inner, relu, last = self.model
        return last(relu(inner(first(x), hole)))


class HybridRefiner(ModelMixin, ConfigMixin):
    """Refine (B, 3, 256, 256) pictures in [-1, 1]; `assembly` is "official" or "paper"."""

    @register_to_config
    def __init__(self, assembly: str = "official") -> None:
        super().__init__()
        level: Level = Level(512, None, down=512, joined=512, up=512, skipped=512)
        for _ in range(4):
            level = Level(512, level, down=512, joined=1024, up=512, skipped=512)
        level = AssemblingLevel(level, assembly)
        level = Level(256, level, down=512, joined=512, up=128, skipped=128)
        self.model = Outermost(Level(128, level, down=256, joined=256, up=64, skipped=64))

    def forward(self, image: Tensor, coarse: Tensor, mask: Tensor) -> Tensor:
        """Return the refined picture (B, 3, 256, 256), unclipped, whole.

        `image` and `coarse` are in [-1, 1]; `mask` (B, 1, 256, 256) is 1 in the hole.
        """
        mask = mask.to(image.dtype)
        grey = torch.tensor(HOLE_COLOUR, device=image.device, dtype=image.dtype).reshape(1, 3, 1, 1) * 2 - 1
        joined = coarse * mask + image * (1 - mask)
        masked = grey * mask + image * (1 - mask)
        mirrored = [picture.flip(1, 3) for picture in (joined, masked)]  # the released net flips the channels too
        return self.model(torch.cat([joined, masked, *mirrored], dim=1), shrink_mask(mask))  # 12 channels in

    @torch.inference_mode()
    def refine(self, image: Tensor, coarse: Tensor, mask: Tensor) -> Tensor:
        """Like `forward` for pictures in [0, 1]; clipped inside the hole, outside it `image` as it was."""
        refined = (self(image * 2 - 1, coarse * 2 - 1, mask) + 1) / 2
        return torch.where(mask > 0.5, refined.clamp(0, 1), image)
