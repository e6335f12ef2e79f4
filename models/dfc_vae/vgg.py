"""VGG-19, the ruler of the feature perceptual loss: Simonyan and Zisserman, arXiv 1409.1556.

Mien carries no VGG weights: a user brings the file (`mien weights add vgg19 PATH`).
"""

from __future__ import annotations

import itertools

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional

BLOCKS: tuple[tuple[int, int], ...] = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
"""(convolutions, channels) of the five blocks; a 2x2 maximum halves the picture between them."""

CONVOLUTIONS: tuple[str, ...] = tuple(
    f"conv{block}_{index}" for block, (count, _) in enumerate(BLOCKS, 1) for index in range(1, count + 1)
)
VAE_123 = ("relu1_1", "relu2_1", "relu3_1")
VAE_345 = ("relu3_1", "relu4_1", "relu5_1")
"""The two sets of layers the paper compares."""


class Vgg19(ModelMixin, ConfigMixin):
    """The sixteen convolutions of VGG-19 under their names of the Caffe model, without a classifier.

    Pixel scale is the caller's choice and belongs to the loss: [0, 1] as it is, ImageNet mean and deviation, or BGR
    0 to 255 less the mean.
    """

    @register_to_config
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.ModuleDict()
        inward = 3
        for block, (count, channels) in enumerate(BLOCKS, 1):
            for index in range(1, count + 1):
                self.features[f"conv{block}_{index}"] = nn.Conv2d(inward, channels, 3, padding=1)
                inward = channels

    def forward(self, image: Tensor, taps: tuple[str, ...] = VAE_123) -> list[Tensor]:
        """(B, 3, H, W) -> the named ReLU outputs, from relu1_1 (B, 64, H, W) to relu5_4 (B, 512, H/16, W/16)."""
        found: dict[str, Tensor] = {}
        signal = image
        for name in CONVOLUTIONS:
            if name.endswith("_1") and name != "conv1_1":
                signal = functional.max_pool2d(signal, 2)  # (B, C, H/2, W/2)
            signal = functional.relu(self.features[name](signal))
            found[name.replace("conv", "relu")] = signal
            if len(found.keys() & set(taps)) == len(set(taps)):
                break
        return [found[tap] for tap in taps]


class Vgg19BatchNorm(nn.Module):
    """VGG-19 with BatchNorm, numbered as in torchvision; the ruler inside AntixK's checkpoints."""

    def __init__(self, *, classifier: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inward = 3
        for count, channels in BLOCKS:
            for _ in range(count):
                layers += [nn.Conv2d(inward, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
                inward = channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        if classifier:
            widths = (25088, 4096, 4096, 1000)
            dense: list[nn.Module] = []
            for a, b in itertools.pairwise(widths):
                dense += [nn.Linear(a, b), nn.ReLU(), nn.Dropout()]
            self.classifier = nn.Sequential(*dense[:-2])

    def forward(self, image: Tensor, taps: list[int]) -> list[Tensor]:
        """(B, 3, H, W) -> the outputs of the numbered layers, in rising order."""
        found: list[Tensor] = []
        signal = image
        for position, layer in enumerate(self.features[: max(taps) + 1]):
            signal = layer(signal)
            if position in taps:
                found.append(signal)
        return found


def named_from_numbered(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename torchvision's `features.28.weight` to `features.conv5_1.weight`; named keys stay, the classifier goes."""
    numbers: dict[str, str] = {}
    position = 0
    for block, (count, _) in enumerate(BLOCKS, 1):
        for index in range(1, count + 1):
            numbers[str(position)] = f"conv{block}_{index}"
            position += 2
        position += 1
    renamed = {}
    for key, value in state.items():
        head, *rest = key.split(".")
        if head == "features" and rest:
            renamed[".".join([head, numbers.get(rest[0], rest[0]), *rest[1:]])] = value
    return renamed
