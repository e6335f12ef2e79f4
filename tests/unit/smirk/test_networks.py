"""The networks have the checkpoint's keys, and their fast copies compute the same."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.smirk import rule
from models.smirk.encoder import SmirkEncoder, split_expression
from models.smirk.fast import TiledConvolution, for_inference
from models.smirk.generator import SmirkGenerator
from models.smirk.mobilenet import SamePaddedConv, same_padding

NETWORKS = {"encoder": SmirkEncoder, "generator": SmirkGenerator}


def filled(network, seed="unit"):
    """A network with weights by rule, so that folding has something to fold."""
    network.load_state_dict(rule.state_dict(seed, network.state_dict(), prefix=""))
    return network.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_keys_shapes_and_order_are_the_checkpoints(name, fixtures_dir):
    wanted = json.loads((fixtures_dir / "smirk" / f"state_dict_{name}.json").read_text())
    ours = {f"smirk_{name}.{key}": list(value.shape) for key, value in NETWORKS[name]().state_dict().items()}
    assert list(ours.items()) == list(wanted.items())


def test_parameter_counts():
    counts = {name: sum(p.numel() for p in build().parameters()) for name, build in NETWORKS.items()}
    assert counts == {"encoder": 3_599_921, "generator": 31_367_171}


@given(st.integers(1, 300))
def test_same_padding_gives_half_the_size_and_pads_the_end_first(size):
    before, after = same_padding(size)
    assert (size + before + after - 3) // 2 + 1 == -(-size // 2)
    assert before <= after <= before + 1


def test_strided_convolution_reads_from_the_first_pixel():
    layer = SamePaddedConv(1, 1, 3, stride=2, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, 0, 0, 0] = 1.0  # only the top left tap: without padding there it sees pixels 0, 2, 4, ...
    pixels = torch.arange(16.0).view(1, 1, 4, 4)
    assert layer(pixels).flatten().tolist() == [0.0, 2.0, 8.0, 10.0]


def test_expression_head_limits():
    raw = torch.full((2, 55), 5.0)
    raw[1] = -5.0
    expression, eyelids, jaw = split_expression(raw)
    assert expression.shape == (2, 50)
    assert eyelids.tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert torch.allclose(jaw, torch.tensor([[5.0, 0.2, 0.2], [0.0, -0.2, -0.2]]))


def test_untrained_encoder_starts_from_a_frontal_face_in_the_middle():
    with torch.inference_mode():
        read = SmirkEncoder().eval()(torch.rand(1, 3, 224, 224))
    assert read.camera[0, 0].item() == pytest.approx(7.0)
    assert read.pose.abs().max() < 0.05 and read.shape.abs().max() == 0


@pytest.mark.parametrize("name", NETWORKS)
def test_inference_copy_agrees_and_leaves_the_original_alone(name):
    network = filled(NETWORKS[name]())
    before = {key: value.clone() for key, value in network.state_dict().items()}
    quick = for_inference(network)
    assert not [m for m in quick.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    pixels = torch.rand(1, 3 if name == "encoder" else 6, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted, got = network.double()(pixels.double()), quick(pixels)
    pairs = zip(vars(wanted).values(), vars(got).values(), strict=True) if name == "encoder" else [(wanted, got)]
    assert all((one - other).abs().max() < 1e-5 for one, other in pairs)


def test_a_face_is_read_alike_alone_and_in_a_batch():
    quick = for_inference(filled(SmirkEncoder()))
    pixels = torch.rand(3, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        batch, alone = quick(pixels), quick(pixels[1:2])
    assert all((getattr(batch, n)[1:2] - getattr(alone, n)).abs().max() < 1e-5 for n in vars(alone))


def test_networks_are_saved_and_loaded_with_their_config(tmp_path):
    network = SmirkEncoder(expression_count=20, shape_count=40)
    network.save_pretrained(tmp_path)
    again = SmirkEncoder.from_pretrained(tmp_path)
    assert again.config.shape_count == 40
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in network.state_dict().items())


@pytest.mark.parametrize(("size", "padding", "batch"), [((14, 14), 1, 1), ((16, 16), 0, 2), ((9, 13), 1, 3)])
def test_tiled_convolution_is_a_convolution(size, padding, batch):
    random = torch.Generator().manual_seed(2)
    layer = torch.nn.Conv2d(20, 12, 3, padding=padding)
    pixels = torch.rand(batch, 20, *size, generator=random)
    with torch.inference_mode():
        assert torch.allclose(TiledConvolution(layer)(pixels), layer(pixels), atol=2e-5)


def test_wide_convolutions_are_tiled_and_others_are_not():
    layers = for_inference(SmirkGenerator())
    assert isinstance(layers.encoder3.enc3conv1, TiledConvolution)
    assert type(layers.encoder2.enc2conv2) is torch.nn.Conv2d and type(layers.conv) is torch.nn.Conv2d
    assert not [m for m in for_inference(SmirkEncoder()).modules() if isinstance(m, TiledConvolution)]
