"""Latent-OFER's classifier (section 3.3): DAN's features joined with latent vectors of the masked autoencoder.

State-dict keys are those of the public checkpoint. Its latent branch is four linear layers without activations
(1.84 GB); once trained they are one matrix, so the branch can be folded into 41 MB.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from models.latent_ofer.dan import Reading, add_heads, resnet18_features, run_heads

LATENT_WIDTH = 512
TOKENS = tuple(row * 14 + column for row in range(3, 12) for column in range(4, 12)) + tuple(range(172, 178))
"""The official choice among the 197 tokens, class token first: the middle of the face and six cells of the chin."""
LATENT_VALUES = len(TOKENS) * LATENT_WIDTH
BRANCH = ("hh_layer", "hh_layer2", "hh_batch1", "hh_layer3", "hh_layer4", "batch_norm1")
"""The layers of the latent branch, in order."""


class LatentClassifier(ModelMixin, ConfigMixin):
    """Emotions from a face (B, 3, 224, 224), ImageNet-normalised, and latents (B, 39936).

    `latent_branch` is "layers" for the official layers or "folded" for their product.
    """

    @register_to_config
    def __init__(
        self,
        classes: int = 7,
        heads: int = 4,
        latent_branch: str = "folded",
        latent_widths: tuple[int, int] = (10000, 5000),
    ) -> None:
        super().__init__()
        self.features = resnet18_features()
        add_heads(self, heads)
        if latent_branch == "folded":
            self.latent = nn.Linear(LATENT_VALUES, 256)
        elif latent_branch == "layers":
            self._add_layers(*latent_widths)
        else:
            raise ValueError(f"latent_branch is 'folded' or 'layers', not {latent_branch!r}")
        self.fc = nn.Linear(512 + 256, 256)
        self.fc2 = nn.Linear(256, 128)
        self.batch_norm = nn.BatchNorm1d(128)
        self.fc4 = nn.Linear(128, classes)
        self.bn = nn.BatchNorm1d(classes)

    def _add_layers(self, first: int, second: int) -> None:
        self.hh_layer = nn.Linear(LATENT_VALUES, first)
        self.hh_layer2 = nn.Linear(first, second)
        self.hh_batch1 = nn.BatchNorm1d(second)
        self.hh_layer3 = nn.Linear(second, 1024)
        self.hh_layer4 = nn.Linear(1024, 256)
        self.batch_norm1 = nn.BatchNorm1d(256)

    def latent_features(self, latents: Tensor) -> Tensor:
        """Map latents (B, 39936) to the (B, 256) that join the image features."""
        if self.config.latent_branch == "folded":
            return self.latent(latents)
        for name in BRANCH:
            latents = self.get_submodule(name)(latents)
        return latents

    def forward(self, images: Tensor, latents: Tensor) -> Reading:
        """Read a batch; `heads` of the result is (B, heads, 512), whose sum over heads is the official third output."""
        features = self.features(images)  # (B, 512, 7, 7)
        heads, attention = run_heads(self, features, self.config.heads)
        joined = torch.cat([heads.sum(dim=1), self.latent_features(latents)], dim=1)  # (B, 768)
        hidden = self.batch_norm(self.fc2(self.fc(joined)))  # (B, 128)
        return Reading(self.bn(self.fc4(hidden)), features, heads, attention)


def pick_latents(decoded: Tensor, tokens: Tensor | tuple[int, ...] = TOKENS) -> Tensor:
    """Take chosen tokens of the autoencoder's decoder (B, 197, 512), class token first, as (B, 39936)."""
    return decoded[:, torch.as_tensor(tokens, device=decoded.device)].flatten(1)


def attended_cells(attention: Tensor, *, grid: int = 14, share: float = 0.5) -> Tensor:
    """Return the patches the heads look at most, as the paper picks them: (B, grid * grid) bool, about `share` True.

    `attention` is (B, heads, 7, 7); the heads are averaged and the map enlarged to the patches (section 3.3).
    """
    each = attention / attention.mean(dim=(2, 3), keepdim=True).clamp_min(1e-12)
    maps = nn.functional.interpolate(each.mean(dim=1, keepdim=True), size=(grid, grid), mode="nearest").flatten(1)
    return maps > maps.quantile(1 - share, dim=1, keepdim=True)


def fold(state: Mapping[str, Tensor], *, rows: int = 256) -> dict[str, Tensor]:
    """Return a checkpoint with the latent branch multiplied out; every other tensor is passed on untouched.

    Works from the last layer back in float64 and reads the big matrices `rows` rows at a time, so that with a
    memory-mapped checkpoint the 1.84 GB are never in memory.
    """
    matrix = torch.eye(256, dtype=torch.float64)
    offset = torch.zeros(256, dtype=torch.float64)
    for name in reversed(BRANCH):
        if f"{name}.running_var" in state:
            scale, shift = _norm_as_affine(state, name)
            offset += matrix @ shift
            matrix = matrix * scale
        else:
            offset += matrix @ state[f"{name}.bias"].double()
            matrix = _times(matrix, state[f"{name}.weight"], rows)
    branch = tuple(f"{name}." for name in BRANCH)
    folded = {key: tensor for key, tensor in state.items() if not key.startswith(branch)}
    return folded | {"latent.weight": matrix.float(), "latent.bias": offset.float()}


def _norm_as_affine(state: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """Return scale and shift of a batch norm with fixed statistics."""
    values = {part: state[f"{name}.{part}"].double() for part in ("weight", "bias", "running_mean", "running_var")}
    scale = values["weight"] / (values["running_var"] + 1e-5).sqrt()
    return scale, values["bias"] - values["running_mean"] * scale


def _times(matrix: Tensor, weight: Tensor, rows: int) -> Tensor:
    """Return matrix @ weight with `weight` read a few rows at a time."""
    product = torch.zeros(len(matrix), weight.shape[1], dtype=torch.float64)
    for start in range(0, len(weight), rows):
        product.addmm_(matrix[:, start : start + rows], weight[start : start + rows].double())
    return product
