"""Filling by diffusion: several different guesses of the hidden part, each as likely as the next.

What is diffused is the difference of a small crop from the autoencoder's guess. A small U-Net is told guess and mask
(as in Palette, Saharia et al. 2022), and at each step the visible pixels, where that difference is nothing, are put
back with the right amount of noise (RePaint, Lugmayr et al., CVPR 2022).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers import DDIMScheduler, UNet2DModel
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

from models.errors import Cancelled
from models.types import BLENDSHAPES

OnStep = Callable[[int, int], bool]
"""Called with (steps done, steps in all); work stops when it answers False."""
TRAINING_STEPS = 1000
TOLD = 4
SCALE = 0.2
"""What differences from the guess are divided by; they have about unit variance then."""


class FaceDiffusion(ModelMixin, ConfigMixin):
    """Differences (B, 3, s, s) over SCALE; told (B, 4, s, s): the guess in [-1, 1], 3, and the mask, 1.

    The U-Net sees squares of `patch` by `patch` pixels as one place: a quarter of the work, most of the picture.
    """

    @register_to_config
    def __init__(
        self,
        size: int = 64,
        patch: int = 2,
        widths: tuple[int, ...] = (64, 96, 128),
        layers: int = 1,
        prediction: str = "v_prediction",
    ) -> None:
        super().__init__()
        widths, self.patch = tuple(widths), patch
        self.unet = UNet2DModel(
            sample_size=size // patch,
            in_channels=(3 + TOLD) * patch**2,
            out_channels=3 * patch**2,
            block_out_channels=widths,
            layers_per_block=layers,
            down_block_types=("DownBlock2D",) * (len(widths) - 1) + ("AttnDownBlock2D",),
            up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * (len(widths) - 1),
            attention_head_dim=32,
            norm_num_groups=8,
            class_embed_type="identity",
        )
        # one more number says that the expression is not given
        self.expression = nn.Linear(BLENDSHAPES + 1, widths[0] * 4)

    def forward(self, noisy: Tensor, steps: Tensor, told: Tensor, blendshapes: Tensor | None = None) -> Tensor:
        """Return what the schedule calls the prediction (B, 3, s, s); blendshapes (B, 52), NaN where not given."""
        if blendshapes is None:
            blendshapes = noisy.new_full((len(noisy), BLENDSHAPES), torch.nan)
        given = ~blendshapes.isnan().any(1, keepdim=True)
        asked = torch.cat([torch.where(given, blendshapes, 0.0), (~given).to(blendshapes.dtype)], 1)
        places = functional.pixel_unshuffle(torch.cat([noisy, told], 1), self.patch)
        said = self.unet(places, steps, class_labels=self.expression(asked)).sample
        return functional.pixel_shuffle(said, self.patch)


def schedule(network: FaceDiffusion) -> DDIMScheduler:
    """Return the noise schedule the network was trained with."""
    return DDIMScheduler(
        num_train_timesteps=TRAINING_STEPS,
        beta_schedule="squaredcos_cap_v2",
        prediction_type=str(network.config["prediction"]),
        timestep_spacing="trailing",
        clip_sample=True,
        clip_sample_range=4.0,
    )


@torch.inference_mode()
def fill(
    network: FaceDiffusion,
    guess: Tensor,
    mask: Tensor,
    *,
    steps: int = 20,
    samples: int = 1,
    seed: int = 0,
    blendshapes: Tensor | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Vary a guess (1, 3, s, s) in [0, 1] where the mask (1, 1, s, s) is 1; returns (samples, 3, s, s) in [0, 1].

    Raises Cancelled when `on_step` answers False.
    """
    noise_of = torch.Generator().manual_seed(seed)
    plan = schedule(network)
    plan.set_timesteps(steps)
    noise = torch.randn((samples, 3, *guess.shape[-2:]), generator=noise_of).to(guess.device)
    told = torch.cat([guess * 2 - 1, mask], 1).expand(samples, -1, -1, -1)
    nothing = torch.zeros_like(noise)
    current = noise
    for number, moment in enumerate(plan.timesteps):
        said = network(current, moment.expand(samples).to(guess.device), told, blendshapes)
        current = plan.step(said, moment, current).prev_sample
        following = plan.timesteps[number + 1 :][:1]
        known = plan.add_noise(nothing, noise, following.expand(samples)) if len(following) else nothing
        current = torch.where(mask > 0, current, known)
        if on_step is not None and not on_step(number + 1, steps):
            raise Cancelled("stopped before all steps were done")
    return (guess + SCALE * current).clamp(0, 1)
