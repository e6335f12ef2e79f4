"""A real inpainting pipeline of diffusers, tiny and with random weights, as a folder that can be loaded."""

from __future__ import annotations

import json
from pathlib import Path

import torch

EDGE = 32
"""Of the square it draws, in pixels."""
LETTERS = [chr(number) for number in range(33, 127)]


def write_tiny_pipeline(folder: Path) -> Path:
    """Write a StableDiffusionInpaintPipeline of some 200,000 numbers; needs transformers."""
    from diffusers import (  # noqa: PLC0415 - takes seconds, and only tests with the extra come here
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionInpaintPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer  # noqa: PLC0415

    words = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=EDGE // 2, in_channels=9, out_channels=4, block_out_channels=(16, 32), layers_per_block=1,
        cross_attention_dim=16, attention_head_dim=8, norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(8, 16), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, norm_num_groups=8, sample_size=EDGE,
    )  # fmt: skip
    text = CLIPTextConfig(
        hidden_size=16, intermediate_size=32, num_attention_heads=2, num_hidden_layers=1, vocab_size=len(words),
        max_position_embeddings=77, bos_token_id=len(words) - 2, eos_token_id=len(words) - 1,
    )  # fmt: skip
    pipeline = StableDiffusionInpaintPipeline(
        vae=vae, unet=unet, text_encoder=CLIPTextModel(text), tokenizer=tokenizer,
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder / "pipeline")
    return folder / "pipeline"
