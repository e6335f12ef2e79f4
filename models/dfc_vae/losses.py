"""The feature perceptual loss: how far two pictures are apart inside a network that sees (paper, section 3.2)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.dfc_vae.vgg import VAE_123, Vgg19
from models.trunk import Trunk

Taps = Callable[[Tensor], Sequence[Tensor]]
"""(B, 3, H, W) in [0, 1] -> the layers to compare, each (B, C, h, w)."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)


def layer_errors(wanted: Sequence[Tensor], given: Sequence[Tensor]) -> Tensor:
    """Mean squared difference of each pair of layers: (layers,)."""
    return torch.stack([functional.mse_loss(b, a) for a, b in zip(wanted, given, strict=True)])


def relative_layer_errors(wanted: Sequence[Tensor], given: Sequence[Tensor]) -> Tensor:
    """Squared difference of each pair of layers over the wanted layer's mean square: (layers,).

    Layers of one network differ in scale by orders of magnitude; shares keep one from drowning another.
    """
    shares = [
        functional.mse_loss(b, a) / (a.square().mean().detach() + 1e-8) for a, b in zip(wanted, given, strict=True)
    ]
    return torch.stack(shares)


def texture_errors(wanted: Sequence[Tensor], given: Sequence[Tensor], *, cells: int = 8) -> Tensor:
    """How much the strength of each channel differs, cell by cell, over its mean square: (layers,).

    Squared errors are least for a blur wherever the code does not say where exactly a hair lies; strengths are not.
    """
    shares = []
    for a, b in zip(wanted, given, strict=True):
        size = max(1, a.shape[-1] // cells)
        strong = [functional.avg_pool2d(layer.square(), size).add(1e-6).sqrt() for layer in (a, b)]
        shares.append(functional.mse_loss(strong[1], strong[0]) / (strong[0].square().mean().detach() + 1e-8))
    return torch.stack(shares)


class TrunkTaps(nn.Module):
    """Stem and some blocks of one of Mien's own trunks, for pictures in [0, 1]; what comes after is not computed."""

    def __init__(self, trunk: Trunk, *, blocks: tuple[int, ...]) -> None:
        super().__init__()
        trunk = copy.deepcopy(trunk).requires_grad_(False).eval()
        self.register_buffer("mean", trunk.mean.clone(), persistent=False)
        self.register_buffer("deviation", trunk.deviation.clone(), persistent=False)
        # normalisation costs more time than the convolutions it follows: fold it into them
        self.stem = nn.Sequential(fuse_conv_bn_eval(trunk.stem[0], trunk.stem[1]), nn.ReLU())
        self.blocks = nn.ModuleList(_folded(block) for block in trunk.blocks[: max(blocks) + 1])
        self.wanted = blocks

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, S, S) in [0, 1] -> the stem's maps and those of the chosen blocks."""
        signal = self.stem((image - self.mean) / self.deviation)  # (B, C, S / 2, S / 2)
        found = [signal]
        for number, block in enumerate(self.blocks):
            signal = block(signal)
            if number in self.wanted:
                found.append(signal)
        return found


def _folded(block: nn.Module) -> nn.Module:
    for conv, norm in (("conv1", "norm1"), ("conv2", "norm2")):
        setattr(block, conv, fuse_conv_bn_eval(getattr(block, conv), getattr(block, norm)))
        setattr(block, norm, nn.Identity())
    if isinstance(block.shortcut, nn.Sequential):
        block.shortcut = fuse_conv_bn_eval(block.shortcut[0], block.shortcut[1])
    return block


class VggTaps(nn.Module):
    """Layers of VGG-19 for pictures in [0, 1]; `scale` says what VGG is given: "unit", "imagenet" or "caffe".

    The published losses differ in this and their weights cannot be exchanged: the Lua code gives BGR 0..255 less
    the mean to a Caffe VGG, one PyTorch port ImageNet's mean and deviation, another the picture as it is.
    """

    def __init__(self, network: Vgg19, *, layers: tuple[str, ...] = VAE_123, scale: str = "imagenet") -> None:
        super().__init__()
        if scale not in {"unit", "imagenet", "caffe"}:
            raise ValueError(f'scale must be "unit", "imagenet" or "caffe", got {scale!r}')
        self.network = network.requires_grad_(False).eval()
        self.layers = layers
        self.scale = scale
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEVIATION).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("mean_bgr", torch.tensor(CAFFE_MEAN_BGR).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] -> the chosen layers."""
        if self.scale == "imagenet":
            image = (image - self.mean) / self.deviation
        elif self.scale == "caffe":
            image = image.flip(1) * 255 - self.mean_bgr
        return self.network(image, self.layers)


class NamedLayerTaps(nn.Module):
    """Chosen layers of any frozen network, for pictures in [0, 1].

    `prepare` maps such a picture to what the network takes. Layers are named as in `network.named_modules()`.
    """

    def __init__(self, network: nn.Module, *, layers: Sequence[str], prepare: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        modules = dict(network.named_modules())
        missing = [name for name in layers if name not in modules]
        if missing:
            raise ValueError(f"the network has no layer {missing[0]!r}")
        self.network = network.requires_grad_(False).eval()
        self.layers = tuple(layers)
        self.prepare = prepare

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] -> the outputs of the named layers."""
        found: dict[str, Tensor] = {}
        modules = dict(self.network.named_modules())
        handles = [
            modules[name].register_forward_hook(lambda _module, _given, output, name=name: found.update({name: output}))
            for name in self.layers
        ]
        try:
            self.network(self.prepare(image))
        finally:
            for handle in handles:
                handle.remove()
        return [found[name] for name in self.layers]
