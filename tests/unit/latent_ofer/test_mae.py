"""The masked autoencoder never looks at hidden patches, whatever way it leaves them out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.latent_ofer import mae, rule
from models.latent_ofer.mae import MaskedAutoencoder
from models.latent_ofer.pixels import mask_tensor, to_image, to_tensor


@pytest.fixture(scope="module")
def net() -> MaskedAutoencoder:
    return rule.build(lambda: MaskedAutoencoder(**mae.TINY), "mae_tiny", "test")


def pictures(count: int) -> torch.Tensor:
    return torch.cat([rule.blocks("mae_tiny", "test", f"picture{i}", size=224, block=8) for i in range(count)])


def some_hidden(*counts: int) -> torch.Tensor:
    hidden = torch.zeros(len(counts), 196, dtype=torch.bool)
    for row, count in zip(hidden, counts, strict=True):
        row[60 : 60 + count] = True
    return hidden


@torch.inference_mode()
def test_hidden_pixels_do_not_matter(net: MaskedAutoencoder) -> None:
    image, hidden = pictures(1), some_hidden(30)
    painted = torch.where(net.pixel_mask(hidden), torch.ones_like(image), image)
    assert torch.equal(net(image, hidden).patches, net(painted, hidden).patches)
    assert not torch.allclose(net(image, some_hidden(31)).patches, net(image, hidden).patches, atol=1e-3)


@torch.inference_mode()
def test_a_batch_may_hide_different_numbers_of_patches(net: MaskedAutoencoder) -> None:
    images, hidden = pictures(3), some_hidden(30, 0, 57)
    together = net(images, hidden)
    for index in range(3):
        alone = net(images[index : index + 1], hidden[index : index + 1])
        torch.testing.assert_close(together.patches[index], alone.patches[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together.latents[index], alone.latents[0], atol=1e-5, rtol=1e-5)


def test_patches_join_to_the_picture_they_were_cut_from(net: MaskedAutoencoder) -> None:
    images = pictures(2)
    patches = net.patchify(images)
    assert torch.equal(net.unpatch(patches), images)
    top_left = images[0, :, :16, :16].permute(1, 2, 0).flatten()  # row, column, channel
    assert torch.equal(patches[0, 0], top_left)


def test_only_hidden_pixels_are_replaced(net: MaskedAutoencoder) -> None:
    image, hidden = pictures(1), some_hidden(40)
    filled = net.reconstruct(image, hidden)
    mask = net.pixel_mask(hidden).expand_as(image)
    assert torch.equal(filled.image[~mask], image[~mask])
    assert not torch.equal(filled.image[mask], image[mask])
    assert torch.equal(net.unpatch(filled.patches)[mask], filled.image[mask])


def test_a_patch_is_hidden_when_enough_of_it_is(net: MaskedAutoencoder) -> None:
    mask = torch.zeros(1, 1, 224, 224)
    mask[:, :, 16:20, 32:48] = 1  # a quarter of the patch in row 1, column 2
    assert net.hidden_patches(mask).nonzero().tolist() == [[0, 16]]
    assert not net.hidden_patches(mask, share=0.25).any()


def test_it_comes_back_from_disk_as_it_was(net: MaskedAutoencoder, tmp_path: Path) -> None:
    net.save_pretrained(tmp_path)
    again = MaskedAutoencoder.from_pretrained(tmp_path).eval()
    image, hidden = pictures(1), some_hidden(20)
    with torch.inference_mode():
        assert torch.equal(again(image, hidden).patches, net(image, hidden).patches)


def test_fixed_positions_tell_all_patches_apart() -> None:
    table = mae.grid_positions(64, 14)[0]
    assert table.shape == (197, 64) and not table[0].any()
    distances = torch.cdist(table[1:], table[1:]) + torch.eye(196) * 9
    assert distances.min() > 0.1


def test_pixels_survive_the_way_to_tensors_and_back(photo: object) -> None:
    tensor = to_tensor(photo)
    assert tensor.shape == (1, 3, 512, 512) and (to_image(tensor) == photo).all()
    assert to_tensor(photo, size=224).shape == (1, 3, 224, 224)
    assert mask_tensor((photo[..., 0] > 128), size=256).unique().tolist() == [0, 1]
