"""The arranged arithmetic against the same arithmetic written straight down."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from models.fsrt import rule
from models.fsrt.decoder import PixelDecoder, decode_in_chunks
from models.fsrt.encoder import SetLatentEncoder, constant_response
from models.fsrt.expression_encoder import ExpressionEncoder
from models.fsrt.keypoints import AntiAliasedShrink, DetectedKeypoints, KeypointDetector
from models.fsrt.official import prepare_decoder, prepare_encoder
from models.fsrt.packed import can_pack
from models.fsrt.posenc import encode, encode_keypoints, encode_pixels, pixel_grid
from tests.bench import fsrt_plain

WORD = "unit"


def pictures(*names: str) -> torch.Tensor:
    return torch.stack([torch.from_numpy(rule.picture(WORD, name)).permute(2, 0, 1) for name in names])


def test_encoding_puts_all_sines_first_and_octaves_fastest() -> None:
    point = torch.tensor([0.3, -0.7])
    encoded = encode(point, octaves=3)
    angles = [value * torch.pi * factor for value in (0.3, -0.7) for factor in (0.5, 1.0, 2.0)]
    expected = torch.cat((torch.tensor(angles).sin(), torch.tensor(angles).cos()))
    assert torch.allclose(encoded, expected, atol=1e-6)


def test_high_octaves_are_constant_on_the_grid_and_not_between_its_pixels() -> None:
    def high_cosines(pixels: torch.Tensor) -> torch.Tensor:
        return encode_pixels(pixels).unflatten(-1, (2, 2, 16))[:, 1, :, 9:]  # octaves 8 to 14

    grid = pixel_grid().flatten(0, 1)
    on_grid = high_cosines(grid)
    assert float((on_grid - on_grid[0]).abs().max()) < 0.01
    assert float((high_cosines(grid + 1 / 1024) - on_grid).abs().max()) > 0.2


def test_a_strided_grid_is_a_subset_of_the_whole() -> None:
    assert torch.equal(pixel_grid(stride=4, offset=2), pixel_grid()[2::4, 2::4])
    assert pixel_grid()[0, 0].tolist() == [-255 / 256, -255 / 256]
    assert pixel_grid()[3, 200].tolist() == [(200.5 - 128) / 128, (3.5 - 128) / 128]
    with pytest.raises(ValueError, match="stride"):
        pixel_grid(stride=0)


def test_encodings_are_float32_even_for_half_precision_coordinates() -> None:
    assert encode_keypoints(torch.zeros(10, 2, dtype=torch.bfloat16)).dtype == torch.float32


def test_shrinking_is_a_blur_and_every_fourth_pixel() -> None:
    shrink, images = AntiAliasedShrink(), pictures("a")
    blurred = F.conv2d(F.pad(images, (6, 6, 6, 6)), shrink.weight, groups=3)
    assert torch.allclose(shrink(images), blurred[:, :, ::4, ::4], atol=1e-6)
    assert float(shrink.weight[0].sum()) == pytest.approx(1)


def test_keypoints_of_a_batch_are_those_of_each_picture(detector: KeypointDetector) -> None:
    both, one = detector(pictures("a", "b")), detector(pictures("b"))
    assert torch.allclose(both.points[1:], one.points, atol=1e-5)
    assert torch.allclose(both.heatmaps.sum(dim=(2, 3)), torch.ones(2, 10), atol=1e-4)
    assert both.features.shape == (2, 35, 64, 64)
    assert float(both.points.abs().max()) <= 1


def test_pooling_before_convolving_changes_nothing(expression_encoder: ExpressionEncoder) -> None:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2, 35, 64, 64, generator=generator)
    heatmaps = torch.randn(2, 10, 58 * 58, generator=generator).softmax(-1).view(2, 10, 58, 58)
    convolved = expression_encoder.expression(features).unflatten(1, (10, 32))
    expected = (convolved * heatmaps[:, :, None]).sum(dim=(3, 4)).flatten(1)
    pooled = expression_encoder.pool(DetectedKeypoints(torch.zeros(2, 10, 2), features, heatmaps))
    assert torch.allclose(pooled, expected, atol=2e-5)


def test_constant_maps_are_convolved_as_if_they_were_spread_out() -> None:
    generator = torch.Generator().manual_seed(2)
    weight, values = torch.randn(5, 7, 3, 3, generator=generator), torch.randn(2, 7, generator=generator)
    spread = values[:, :, None, None].expand(-1, -1, 9, 6)
    answer = constant_response(weight, values, size=(9, 6))
    assert torch.allclose(answer, F.conv2d(spread, weight, padding=1), atol=1e-5)


def test_the_first_layer_sees_483_channels_in_the_official_order(encoder: SetLatentEncoder) -> None:
    images, generator = pictures("a"), torch.Generator().manual_seed(3)
    keypoints = torch.rand(1, 10, 2, generator=generator) * 2 - 1
    expression = torch.randn(1, 256, generator=generator)
    spread = [part[:, :, None, None].expand(-1, -1, 256, 256) for part in (encode_keypoints(keypoints), expression)]
    places = encode_pixels(pixel_grid()).permute(2, 0, 1)[None]
    whole = encoder.conv_blocks[0].layers[0](torch.cat((images, spread[0], places, spread[1]), dim=1))
    ours = encoder.first_layer(images, keypoints, expression)
    assert torch.allclose(ours, whole, atol=2e-5 * float(whole.abs().max()))


def test_packing_the_encoder_changes_nothing(encoder: SetLatentEncoder) -> None:
    tokens = torch.randn(1, 64, 768, generator=torch.Generator().manual_seed(4))
    packed = copy.deepcopy(encoder)
    prepare_encoder(packed)
    assert torch.allclose(packed.transformer(tokens), encoder.transformer(tokens), atol=1e-4)
    assert can_pack() == (type(packed.transformer.layers[0][0].fn.to_qkv).__name__ == "PackedLinear")


@pytest.fixture(scope="module")
def scene() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return {
        "latent": 3 * torch.randn(1, 128, 768, generator=generator),
        "keypoints": torch.rand(1, 10, 2, generator=generator) * 2 - 1,
        "expressions": torch.randn(1, 256, generator=generator),
        "pixels": pixel_grid(stride=32, offset=5).flatten(0, 1),
    }


def colours(decoder: PixelDecoder, scene: dict[str, torch.Tensor], *, chunk: int = 1000) -> torch.Tensor:
    return decode_in_chunks(
        decoder,
        decoder.remember(scene["latent"]),
        keypoints=scene["keypoints"],
        expressions=scene["expressions"],
        pixels=scene["pixels"],
        chunk=chunk,
    )[0]


def plain(decoder: PixelDecoder, scene: dict[str, torch.Tensor]) -> torch.Tensor:
    return fsrt_plain.decode(
        decoder.state_dict(),
        scene["latent"][0],
        keypoints=scene["keypoints"][0],
        expression=scene["expressions"][0],
        pixels=scene["pixels"],
    )


def test_the_decoder_is_the_plain_arithmetic(decoder: PixelDecoder, scene: dict[str, torch.Tensor]) -> None:
    assert torch.allclose(colours(decoder, scene), plain(decoder, scene), atol=3e-5)


def test_the_prepared_decoder_is_the_plain_arithmetic(decoder: PixelDecoder, scene: dict[str, torch.Tensor]) -> None:
    prepared = copy.deepcopy(decoder)
    prepare_decoder(prepared)
    assert torch.allclose(colours(prepared, scene), plain(decoder, scene), atol=3e-5)


def test_half_precision_stays_near(decoder: PixelDecoder, scene: dict[str, torch.Tensor]) -> None:
    prepared = copy.deepcopy(decoder)
    prepare_decoder(prepared, precision="bfloat16")
    difference = (colours(prepared, scene) - plain(decoder, scene)).abs()
    assert 0 < float(difference.mean()) < 0.02
    assert colours(prepared, scene).dtype == torch.float32


def test_chunks_do_not_change_the_picture_and_report_progress(
    decoder: PixelDecoder, scene: dict[str, torch.Tensor]
) -> None:
    shares: list[float] = []
    memory = decoder.remember(scene["latent"])
    few = decode_in_chunks(
        decoder,
        memory,
        keypoints=scene["keypoints"],
        expressions=scene["expressions"],
        pixels=scene["pixels"],
        chunk=17,
        on_progress=shares.append,
    )
    assert torch.allclose(few[0], colours(decoder, scene), atol=1e-5)
    assert shares[-1] == 1.0 and all(before < after for before, after in pairwise(shares))


def test_a_batch_of_frames_equals_its_rows(decoder: PixelDecoder, scene: dict[str, torch.Tensor]) -> None:
    keypoints = torch.cat((scene["keypoints"], scene["keypoints"].flip(1)))
    expressions = torch.cat((scene["expressions"], -scene["expressions"]))
    memory = decoder.remember(scene["latent"].expand(2, -1, -1))
    both = decoder(memory, keypoints, expressions, scene["pixels"])
    assert torch.allclose(both[0], colours(decoder, scene), atol=1e-5)
    assert float((both[0] - both[1]).abs().mean()) > 1e-3


def test_the_decoder_can_be_trained(scene: dict[str, torch.Tensor]) -> None:
    decoder = PixelDecoder.small()
    memory = decoder.remember(scene["latent"])
    decoder(memory, scene["keypoints"], scene["expressions"], scene["pixels"]).square().mean().backward()
    silent = [name for name, value in decoder.named_parameters() if value.grad is None or not value.grad.any()]
    assert silent == []


def test_the_decoder_can_be_captured_as_one_graph(scene: dict[str, torch.Tensor]) -> None:
    decoder = rule.fill(PixelDecoder.small(), WORD, "decoder_small")
    given = (decoder.remember(scene["latent"]), scene["keypoints"], scene["expressions"], scene["pixels"])
    captured = torch.compile(decoder, backend="eager", fullgraph=True)
    assert torch.allclose(captured(*given), decoder(*given), atol=1e-5)


def test_the_small_decoder_keeps_its_configuration() -> None:
    decoder = PixelDecoder.small()
    assert sum(value.numel() for value in decoder.parameters()) == 6_012_723
    assert list(PixelDecoder.from_config(decoder.config).state_dict()) == list(decoder.state_dict())
