"""Filling by diffusion: several different guesses of the hidden part, each as likely as the next.

What is diffused is the difference of a small crop from the autoencoder's guess. Were faces Gaussian, the best velocity
would be known in closed form: the linear prior says how much each direction may still vary behind the hole. A small
U-Net, told guess and mask (as in Palette, Saharia et al. 2022), adds what is not Gaussian. At each step the visible
pixels, where the difference is nothing, are put back with the right amount of noise (RePaint, Lugmayr et al., CVPR
2022).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from diffusers import DDIMScheduler, UNet2DModel
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

from models.errors import Cancelled
from models.occlusion.prior import LinearPrior
from models.types import BLENDSHAPES

OnStep = Callable[[int, int], bool]
"""Called with (steps done, steps in all); work stops when it answers False."""
TRAINING_STEPS = 1000
TOLD = 4
SCALE = 0.2
"""What differences from the guess are divided by; they have about unit variance then."""
BETAS = "squaredcos_cap_v2"
TEMPERATURE = 0.75
"""What the first noise is multiplied by: guesses vary less than faces do, and fewer look like none."""
MODES = 160
"""Directions at most in which the part behind one hole is taken to vary."""


@dataclass(frozen=True, eq=False)
class Modes:
    """How the differences behind one hole would vary if faces were Gaussian."""

    directions: Tensor
    """(K, 3, s, s) of length 1, nothing outside the hole"""
    variances: Tensor
    """(K,) along them, of differences over SCALE"""
    hole: Tensor
    """(1, s, s) of 0 and 1"""


@torch.no_grad()
def modes_of(prior: LinearPrior, hole: Tensor) -> Modes:
    """Condition the prior's directions on what a hole (1, s, s) of 0 and 1 leaves to be seen; s is the prior's size."""
    basis, inside = prior.basis.float(), hole.flatten().bool().repeat(3)
    seen = basis[:, ~inside]
    precision = seen @ seen.T / prior.variance.float() + torch.eye(len(basis), device=basis.device)
    root = torch.linalg.cholesky(torch.linalg.inv(precision))
    left = root.T @ basis[:, inside] / SCALE  # (K, n): its products are the covariance behind the hole
    variances, turns = torch.linalg.eigh(left @ left.T)
    variances, turns = variances.flip(0)[:MODES].clamp(min=1e-9), turns.flip(1)[:, :MODES]
    directions = basis.new_zeros(len(variances), basis.shape[1])
    directions[:, inside] = (turns.T @ left) / variances.sqrt()[:, None]
    kept = min(int(inside.sum()), len(variances))
    return Modes(directions[:kept].unflatten(1, (3, prior.size, prior.size)), variances[:kept], hole.float())


class FaceDiffusion(ModelMixin, ConfigMixin):
    """Differences (B, 3, s, s) over SCALE; told (B, 4, s, s): the guess in [-1, 1], 3, and the mask, 1.

    The U-Net sees squares of `patch` by `patch` pixels as one place: a ninth of the work, most of the picture.
    """

    @register_to_config
    def __init__(
        self,
        size: int = 60,
        patch: int = 3,
        widths: tuple[int, ...] = (80, 112, 160),
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
        nn.init.zeros_(self.unet.conv_out.weight)  # training starts from Gaussian faces
        nn.init.zeros_(self.unet.conv_out.bias)
        # one more number says that the expression is not given
        self.expression = nn.Linear(BLENDSHAPES + 1, widths[0] * 4)
        self.register_buffer("width", torch.ones(()))
        """What the modes' variances are multiplied by; measured on training faces."""
        self.register_buffer("rest", torch.full((), 0.05))
        """Variance in every direction that is no mode."""

    def forward(
        self, noisy: Tensor, steps: Tensor, told: Tensor, modes: Sequence[Modes], blendshapes: Tensor | None = None
    ) -> Tensor:
        """Return the velocity (B, 3, s, s); one of `modes` for each row, blendshapes (B, 52), NaN where not told."""
        if blendshapes is None:
            blendshapes = noisy.new_full((len(noisy), BLENDSHAPES), torch.nan)
        given = ~blendshapes.isnan().any(1, keepdim=True)
        asked = torch.cat([torch.where(given, blendshapes, 0.0), (~given).to(blendshapes.dtype)], 1)
        places = functional.pixel_unshuffle(torch.cat([noisy, told], 1), self.patch)
        said = self.unet(places, steps, class_labels=self.expression(asked)).sample
        return self.gaussian(noisy, steps, modes) + functional.pixel_shuffle(said, self.patch)

    @torch.no_grad()
    def gaussian(self, noisy: Tensor, steps: Tensor, modes: Sequence[Modes]) -> Tensor:
        """Velocity that is best if what is behind each hole varies as its modes say and nothing varies elsewhere.

        Along a direction of variance l, E[v | x] = sqrt(a (1 - a)) (1 - l) / (a l + 1 - a) x, with a the schedule's
        cumulative product: from v = sqrt(a) noise - sqrt(1 - a) clean and the Gaussian posterior mean of `clean`.
        """
        kept = alphas().to(noisy.device)[steps]
        rows = []
        for x, share, mode in zip(noisy.float(), kept, modes, strict=True):
            flat = mode.directions.flatten(1).float()
            variances = torch.cat([self.width * mode.variances.float(), x.new_zeros(1)]) + self.rest
            gains = (share * (1 - share)).sqrt() * (1 - variances) / (share * variances + 1 - share)
            inside = x * mode.hole
            along = flat @ inside.flatten()  # (K,)
            rows.append(gains[-1] * inside + ((gains[:-1] - gains[-1]) * along @ flat).view_as(x))
        return torch.stack(rows).to(noisy.dtype)


@cache
def alphas() -> Tensor:
    """(TRAINING_STEPS,) how much of the picture's power is left after each step."""
    return DDIMScheduler(num_train_timesteps=TRAINING_STEPS, beta_schedule=BETAS).alphas_cumprod


def schedule(network: FaceDiffusion) -> DDIMScheduler:
    """Return the noise schedule the network was trained with."""
    return DDIMScheduler(
        num_train_timesteps=TRAINING_STEPS,
        beta_schedule=BETAS,
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
    modes: Modes,
    *,
    steps: int = 20,
    samples: int = 1,
    seed: int = 0,
    temperature: float = TEMPERATURE,
    blendshapes: Tensor | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Vary a guess (1, 3, s, s) in [0, 1] where the mask (1, 1, s, s) is 1; returns (samples, 3, s, s) in [0, 1].

    `modes` are the mask's, from `modes_of`. The last step is the expected picture, without noise.
    Raises Cancelled when `on_step` answers False.
    """
    noise_of = torch.Generator().manual_seed(seed)
    plan = schedule(network)
    plan.set_timesteps(steps)
    noise = torch.randn((samples, 3, *guess.shape[-2:]), generator=noise_of).to(guess.device) * temperature
    told = torch.cat([guess * 2 - 1, mask], 1).expand(samples, -1, -1, -1)
    nothing = torch.zeros_like(noise)
    current = noise
    for number, moment in enumerate(plan.timesteps):
        said = network(current, moment.expand(samples).to(guess.device), told, [modes] * samples, blendshapes)
        current = plan.step(said, moment, current).prev_sample
        following = plan.timesteps[number + 1 :][:1]
        known = plan.add_noise(nothing, noise, following.expand(samples)) if len(following) else nothing
        current = torch.where(mask > 0, current, known)
        if on_step is not None and not on_step(number + 1, steps):
            raise Cancelled("stopped before all steps were done")
    return (guess + SCALE * current * mask).clamp(0, 1)
