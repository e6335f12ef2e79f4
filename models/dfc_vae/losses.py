"""The feature perceptual loss: how far two pictures are apart inside a network that sees (paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.dfc_vae.vgg import VAE_123, Vgg19

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
