"""The network of `fsrt_open`: a set of tokens for a face, questions per patch, and a warp whose gaps are painted.

After FSRT (Rochow, Schwarz and Behnke, CVPR 2024, section 3): the source becomes a set of tokens, and the picture is
asked for place by place under the driving pose and expression. Made for two cores, it asks per patch of 16 pixels, not
per pixel; a shallow branch carries the source's own pixels along, and a light decoder mends the warp, paints what the
source did not show, and says how much of either is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from models.fsrt.transformer import CrossAttention, SelfAttention, Transformer
from models.fsrt_open.geometry import COARSE_MAPS, FINE_MAPS, STATE
from models.trunk import Trunk

OCTAVES = 5
PLACE = 4 * OCTAVES
PATCH = 16
MEND = 0.15
"""Crop units by which the warp can be mended at most."""
COARSE, FINE = len(COARSE_MAPS), len(FINE_MAPS)
MOUTH, TEETH = FINE_MAPS.index("mouth"), FINE_MAPS.index("teeth")
SOURCE_MOUTH = COARSE_MAPS.index("source mouth")


@dataclass(frozen=True)
class Asked:
    """Driving frames as tensors; see models.fsrt_open.geometry.Geometry."""

    flow: Tensor
    """(B, 2, 2 G, 2 G)"""
    coarse: Tensor
    """(B, 5, G, G)"""
    fine: Tensor
    """(B, 5, 2 G, 2 G)"""
    state: Tensor
    """(B, STATE)"""
    frame: Tensor
    """(B, 4)"""
    rotation: Tensor
    """(B, 9)"""


@dataclass(frozen=True)
class Memory:
    """What is kept of a source, made once and read by every frame."""

    image: Tensor
    """(B, 3, S, S) in [0, 1] the first picture, which is warped"""
    maps: tuple[Tensor, Tensor]
    """(B, C, S/4, S/4), (B, C, S/8, S/8) features of the first picture"""
    keys_values: tuple[tuple[Tensor, Tensor], ...]
    """(B, heads, T, 64) of each layer that asks; T counts the patches of all pictures"""
    expression: Tensor
    """(B, E) of the first picture"""
    frame: Tensor
    """(B, 4) of the first picture"""
    skin: Tensor
    """(B, 3) the first picture's mean colour about the face's middle"""


@dataclass(frozen=True)
class Painted:
    """The picture and what it was made of."""

    image: Tensor
    """(B, 3, S, S) about 0..1"""
    warped: Tensor
    """(B, 3, S, S) the source after the mended warp, with a plain mouth where it shows none"""
    share: Tensor
    """(B, 1, S, S) how far the warp is left as it is"""
    expression: Tensor
    """(B, E) of the driving frames"""


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut, without normalisation; begins as nearly nothing."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            self.second.weight.mul_(0.2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return F.relu(x + self.second(F.relu(self.first(x))))


class FsrtOpen(ModelMixin, ConfigMixin):
    """Show a face with another pose and expression."""

    @register_to_config
    def __init__(
        self,
        size: int = 256,
        widths: tuple[int, ...] = (32, 64, 128, 192),
        depths: tuple[int, ...] = (2, 2, 2),
        dim: int = 192,
        heads: int = 3,
        source_layers: int = 2,
        asking_layers: int = 2,
        expression: int = 48,
        decoder: tuple[int, ...] = (80, 48, 24),
    ) -> None:
        super().__init__()
        self.trunk = Trunk(tuple(widths), tuple(depths))
        self.taps = (0, *(sum(depths[: n + 1]) - 1 for n in range(len(depths))))
        self.express = nn.Sequential(nn.Linear(STATE, 192), nn.GELU(), nn.Linear(192, expression))
        self.tokens = nn.Linear(widths[-2] + widths[-1] + PLACE + expression, dim)
        self.source = Transformer(dim, [SelfAttention(dim, heads) for _ in range(source_layers)], hidden=2 * dim)
        asked = 2 * PLACE + COARSE + FINE + 2 * expression + 9
        self.questions = nn.Sequential(nn.Linear(asked, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        attentions = [CrossAttention(dim, heads, memory_width=dim) for _ in range(asking_layers)]
        self.asking = Transformer(dim, attentions, hidden=2 * dim)
        wide, middle, narrow = decoder
        self.enter = nn.Conv2d(dim + widths[1] + 2 + COARSE, wide, 1)
        self.coarse = nn.Sequential(Block(wide), Block(wide))
        self.down = nn.Conv2d(wide + widths[0] + 2 + COARSE + FINE, middle, 1)
        self.middle = nn.Sequential(Block(middle), Block(middle))
        self.mend = nn.Conv2d(middle, 2, 3, padding=1)
        self.thin = nn.Conv2d(middle, narrow, 1)
        self.last = nn.Conv2d(narrow + 12 + FINE, narrow, 1)
        self.narrow = nn.Sequential(Block(narrow), Block(narrow))
        # in shares of the skin's brightness, so that a mouth is as dark as its face
        self.cavity = nn.Parameter(torch.tensor([0.30, 0.15, 0.14]))
        self.enamel = nn.Parameter(torch.tensor([0.92, 0.88, 0.82]))
        self.paint = nn.Conv2d(narrow, 16, 3, padding=1)
        with torch.no_grad():  # training starts from the plain warp
            for layer in (self.mend, self.paint):
                layer.weight.mul_(0.05)
                layer.bias.zero_()

    @property
    def size(self) -> int:
        """Edge of the pictures."""
        return int(self.config["size"])

    def train(self, mode: bool = True) -> FsrtOpen:
        """The trunk keeps its statistics: it comes trained."""
        super().train(mode)
        self.trunk.eval()
        return self

    def features(self, images: Tensor) -> list[Tensor]:
        """(B, 3, S, S) in [0, 1] -> maps at a quarter, an eighth, a sixteenth and a 32nd of the size.

        The trunk knows faces of 128 px; finer things are left to the warp of the picture itself.
        """
        signal = self.trunk.stem((F.avg_pool2d(images, 2) - self.trunk.mean) / self.trunk.deviation)
        found = [signal]
        for number, block in enumerate(self.trunk.blocks):
            signal = block(signal)
            if number in self.taps[1:]:
                found.append(signal)
        return found

    def remember(self, images: Tensor, states: Tensor, frames: Tensor) -> Memory:
        """Keep N pictures (B, N, 3, S, S) of a face with states (B, N, STATE) and frames (B, N, 4)."""
        count = images.shape[1]
        maps = self.features(images.flatten(0, 1))
        expressions = self.express(states.flatten(0, 1))  # (B * N, E)
        edge = maps[2].shape[-1]
        grid = cells(edge, like=images)[None].expand(len(expressions), -1, -1)  # (B * N, P, 2)
        places = encoded(in_face(grid, frames.flatten(0, 1)))  # (B * N, P, PLACE)
        said = expressions[:, None].expand(-1, edge * edge, -1)
        shown = torch.cat([maps[2], F.interpolate(maps[3], scale_factor=2.0, mode="nearest")], 1)
        tokens = self.tokens(torch.cat([shown.flatten(2).transpose(1, 2).to(places.dtype), places, said], 2))
        tokens = self.source(tokens.unflatten(0, (-1, count)).flatten(1, 2))  # (B, N * P, dim)
        keys_values = tuple(attention.fn.remember(tokens) for attention, _ in self.asking.layers)
        quarter, eighth = (found.unflatten(0, (-1, count))[:, 0] for found in maps[:2])
        return Memory(
            images[:, 0],
            (quarter, eighth),
            keys_values,
            expressions.unflatten(0, (-1, count))[:, 0],
            frames[:, 0],
            skin_of(images[:, 0], frames[:, 0]),
        )

    def forward(self, memory: Memory, asked: Asked) -> Painted:
        """Paint B driving frames."""
        expression = self.express(asked.state)  # (B, E)
        answers = self.ask(memory, asked, expression)  # (B, dim, S/16, S/16)
        quarter, eighth = memory.maps
        flow = F.avg_pool2d(asked.flow, 2)
        moved = flow - cells_map(flow.shape[-1], like=flow)
        around = torch.cat([moved, asked.coarse], 1)  # (B, 7, G, G)
        about = F.avg_pool2d(around, around.shape[-1] // eighth.shape[-1])
        carried = sampled(eighth, F.avg_pool2d(flow, flow.shape[-1] // eighth.shape[-1]))
        wide = F.interpolate(answers, scale_factor=2.0, mode="bilinear")
        wide = self.coarse(F.relu(self.enter(torch.cat([wide, carried, about], 1))))  # (B, C, S/8, S/8)
        fine = F.avg_pool2d(asked.fine, 2)
        carried = sampled(quarter, flow)
        middle = F.interpolate(wide, scale_factor=2.0, mode="bilinear")
        middle = self.middle(F.relu(self.down(torch.cat([middle, carried, around, fine], 1))))  # (B, C, S/4, S/4)
        mended = MEND * torch.tanh(self.mend(middle).float())
        flow = asked.flow + F.interpolate(mended, scale_factor=2.0, mode="bilinear")
        warped = sampled(memory.image, F.interpolate(flow, scale_factor=2.0, mode="bilinear"))  # (B, 3, S, S)
        warped = self.with_mouth(warped, memory, asked)
        narrow = F.interpolate(self.thin(middle), scale_factor=2.0, mode="bilinear")
        parts = [narrow, F.pixel_unshuffle(warped, 2), asked.fine]
        narrow = self.narrow(F.relu(self.last(torch.cat(parts, 1))))  # (B, C, S/2, S/2)
        output = F.pixel_shuffle(self.paint(narrow).float(), 2)  # (B, 4, S, S)
        share = torch.sigmoid(output[:, 3:])
        image = warped + output[:, :3] * (1 - share)
        return Painted(image, warped, share, expression)

    def with_mouth(self, warped: Tensor, memory: Memory, asked: Asked) -> Tensor:
        """Lay a plain cavity with teeth where lips part and the source showed only lips."""
        mouth, tooth = asked.fine[:, MOUTH, None], asked.fine[:, TEETH, None]
        shown = F.interpolate(asked.coarse[:, SOURCE_MOUTH, None], scale_factor=2.0, mode="bilinear")
        skin = memory.skin.mean(1)[:, None, None, None]
        colour = skin * (
            self.cavity.view(1, 3, 1, 1) * (1 - tooth) + self.enamel.view(1, 3, 1, 1) * tooth
        )  # (B, 3, S/2, S/2)
        gap = mouth * (1 - shown)
        colour, gap = (F.interpolate(part, scale_factor=2.0, mode="bilinear") for part in (colour, gap))
        return warped + gap * (colour - warped)

    def ask(self, memory: Memory, asked: Asked, expression: Tensor) -> Tensor:
        """What the tokens know of each patch: (B, dim, S/16, S/16)."""
        edge = self.size // PATCH
        flow = F.avg_pool2d(asked.flow, asked.flow.shape[-1] // edge).flatten(2).transpose(1, 2)  # (B, P, 2)
        here = cells(edge, like=flow)[None].expand_as(flow)
        seen = torch.cat(
            [F.adaptive_avg_pool2d(asked.coarse, edge), F.adaptive_avg_pool2d(asked.fine, edge)], 1
        ).flatten(2).transpose(1, 2)  # fmt: skip
        whole = torch.cat([expression, expression - memory.expression, asked.rotation], 1)  # (B, 2 E + 9)
        parts = [
            encoded(in_face(flow, memory.frame)),
            encoded(in_face(here, asked.frame)),
            seen,
            whole[:, None].expand(-1, edge * edge, -1),
        ]
        questions = self.questions(torch.cat(parts, 2))  # (B, P, dim)
        answers = self.asking(questions, memory.keys_values)
        return answers.transpose(1, 2).unflatten(2, (edge, edge))


def skin_of(images: Tensor, frames: Tensor) -> Tensor:
    """(B, 3) the mean colour of the square between brows and mouth; frames (B, 4) as in models.fsrt_open.geometry."""
    places = cells(8, like=images)[None] * 0.3 / frames[:, None, 2:3] + frames[:, None, :2]  # (B, 64, 2)
    grid = places[:, None].to(images.dtype)
    return F.grid_sample(images, grid, align_corners=False, padding_mode="border")[:, :, 0].mean(2)


def cells(edge: int, *, like: Tensor) -> Tensor:
    """(edge * edge, 2) middles of the cells of a square, x and y in crop units."""
    middles = (torch.arange(edge, device=like.device, dtype=torch.float32) + 0.5) * (2 / edge) - 1
    rows, columns = torch.meshgrid(middles, middles, indexing="ij")
    return torch.stack([columns, rows], 2).flatten(0, 1)


def cells_map(edge: int, *, like: Tensor) -> Tensor:
    """The same as (1, 2, edge, edge)."""
    return cells(edge, like=like).T.unflatten(1, (edge, edge))[None]


def in_face(places: Tensor, frames: Tensor) -> Tensor:
    """Carry places (B, P, 2) from crop units into the upright face's own: tenths of a metre about its origin."""
    moved = (places.float() - frames[:, None, :2]) * frames[:, None, 2:3]
    turn = frames[:, 3]
    cosine, sine = torch.cos(turn)[:, None], torch.sin(turn)[:, None]
    x = cosine * moved[..., 0] + sine * moved[..., 1]
    y = cosine * moved[..., 1] - sine * moved[..., 0]
    return torch.stack([x, y], 2)


def encoded(places: Tensor) -> Tensor:
    """Sines and cosines (B, P, PLACE) of places (B, P, 2), from half a wave to eight for a unit."""
    octaves = math.pi / 2 * 2.0 ** torch.arange(OCTAVES, device=places.device)
    angles = (places[..., None] * octaves).flatten(2)
    return torch.cat([angles.sin(), angles.cos()], 2)


def sampled(maps: Tensor, flow: Tensor) -> Tensor:
    """Maps (B, C, h, w) at the places (B, 2, H, W) in crop units; what lies outside continues the border."""
    grid = flow.permute(0, 2, 3, 1).to(maps.dtype if maps.dtype != torch.bfloat16 else torch.float32)
    return F.grid_sample(maps.to(grid.dtype), grid, padding_mode="border", align_corners=False)
