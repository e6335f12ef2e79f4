"""Every kind of picture people have is read; every kind of hostile file is refused with a sentence."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from PIL import ImageCms

from models.errors import BadInput, ImageTooLarge, NotAnImage
from models.images import encode_image, plain_name, read_image, write_image
from models.types import Image


def encode(picture: PIL.Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


@pytest.fixture(scope="module")
def small(photo: Image) -> PIL.Image.Image:
    return PIL.Image.fromarray(photo).resize((96, 64))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "BMP", "TIFF", "GIF"])
def test_common_formats_give_the_same_picture(small: PIL.Image.Image, kind: str) -> None:
    options = {} if kind in ("PNG", "BMP", "TIFF", "GIF") else {"quality": 95}
    image = read_image(encode(small, kind, **options))
    assert image.dtype == np.uint8
    assert image.shape == (64, 96, 3)
    difference = np.abs(image.astype(int) - np.asarray(small).astype(int)).mean()
    assert difference < (12 if kind == "GIF" else 5)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_every_colour_mode_becomes_rgb(small: PIL.Image.Image, mode: str) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    image = read_image(encode(small.convert(mode), kind))
    assert image.shape == (64, 96, 3)
    reference = np.asarray(small.convert("L" if mode in ("1", "L", "LA") else "RGB"), dtype=float)
    assert abs(image.mean() - reference.mean()) < 6


def test_cmyk_jpeg_keeps_its_colours() -> None:
    red = PIL.Image.new("RGB", (16, 16), (200, 30, 30)).convert("CMYK")
    image = read_image(encode(red, "JPEG", quality=95))
    assert np.abs(image[8, 8].astype(int) - (200, 30, 30)).max() < 8


def test_transparent_pixels_are_white() -> None:
    picture = PIL.Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    picture.putpixel((1, 2), (0, 0, 255, 128))
    image = read_image(encode(picture, "PNG"))
    assert image[0, 0].tolist() == [255, 255, 255]
    assert np.abs(image[2, 1].astype(int) - (127, 127, 255)).max() <= 1


def test_palette_with_a_transparent_entry_is_white_there() -> None:
    picture = PIL.Image.new("P", (4, 4), 0)
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putpixel((0, 0), 1)
    image = read_image(encode(picture, "PNG", transparency=0))
    assert image[3, 3].tolist() == [255, 255, 255]
    assert image[0, 0].tolist() == [200, 100, 50]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_keeps_its_range(kind: str) -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16)[None].repeat(4, axis=0)
    image = read_image(encode(PIL.Image.fromarray(ramp), kind))
    np.testing.assert_array_equal(image[0, :, 0], np.arange(256))


def test_sixteen_bit_colour_png_keeps_its_range() -> None:
    rows = np.linspace(0, 65535, 256).round().astype(">u2")[None, :, None].repeat(3, axis=2)
    image = read_image(make_png(256, 1, rows.tobytes(), bits=16))
    assert np.abs(image[0, :, 1].astype(int) - np.arange(256)).max() <= 1


def test_floating_point_tiff_is_stretched() -> None:
    ramp = np.linspace(-1, 3, 64, dtype=np.float32)[None].repeat(2, axis=0)
    image = read_image(encode(PIL.Image.fromarray(ramp), "TIFF"))
    assert (image.min(), image.max()) == (0, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(orientation: int) -> None:
    upright = np.zeros((20, 30, 3), np.uint8)
    upright[:10, :15] = 255
    turns = {1: (0, 0), 2: (0, 1), 3: (2, 0), 4: (2, 1), 5: (1, 1), 6: (1, 0), 7: (3, 1), 8: (3, 0)}
    quarter_turns, mirrored = turns[orientation]
    stored = np.rot90(upright, quarter_turns)
    if mirrored:
        stored = stored[:, ::-1] if orientation in (2, 4) else stored[::-1]
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    image = read_image(encode(PIL.Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif))
    np.testing.assert_array_equal(image, upright)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_cost_the_picture(small: PIL.Image.Image) -> None:
    image = read_image(encode(small, "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff broken"))
    assert image.shape == (64, 96, 3)


def test_another_colour_profile_is_brought_to_srgb() -> None:
    plain = PIL.Image.new("RGB", (8, 8), (120, 90, 60))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exchanged = srgb.replace(b"rXYZ", b"####").replace(b"gXYZ", b"rXYZ").replace(b"####", b"gXYZ")
    exchanged = exchanged.replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))
    assert read_image(encode(plain, "PNG", icc_profile=srgb))[0, 0].tolist() == [120, 90, 60]
    assert np.abs(read_image(encode(plain, "PNG", icc_profile=exchanged))[0, 0].astype(int) - (90, 120, 60)).max() <= 1
    assert read_image(encode(plain, "PNG", icc_profile=b"nonsense"))[0, 0].tolist() == [120, 90, 60]


def test_first_frame_of_an_animation() -> None:
    frames = [PIL.Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    assert read_image(data)[0, 0].tolist() == [255, 0, 0]


def make_png(width: int, height: int, pixels: bytes | None, *, bits: int = 8) -> bytes:
    """Write an RGB PNG by hand, so that its header may claim any size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    row = len(pixels) // height if pixels else 0
    lines = b"".join(b"\0" + pixels[i * row : (i + 1) * row] for i in range(height)) if pixels else b"\0" * 1000
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(10_001, 5_000), (12_000, 8_000), (30_000, 30_000), (2**31 - 1, 1000)])
def test_too_many_pixels_are_refused_before_decoding(width: int, height: int) -> None:
    with pytest.raises(ImageTooLarge, match="at most 50 megapixels"):
        read_image(make_png(width, height, None))


@pytest.mark.slow
def test_fifty_megapixels_are_read() -> None:
    picture = PIL.Image.new("L", (10_000, 5_000), 77)
    image = read_image(encode(picture, "PNG", compress_level=1))
    assert image.shape == (5_000, 10_000, 3)
    assert image[-1, -1].tolist() == [77, 77, 77]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "GIF"])
def test_truncated_pictures_are_refused(photo: Image, kind: str) -> None:
    data = encode(PIL.Image.fromarray(photo), kind)
    with pytest.raises(NotAnImage):
        read_image(data[: len(data) // 2])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 5000,
        b"hello, this is text",
        b"%PDF-1.7 nothing",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF\x10\0\0\0WEBPVP8 ",
        b"\0\0\0\x18ftypheic\0\0\0\0heicmif1",
    ],
)
def test_other_bytes_are_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(NotAnImage):
        read_image(data)
    file = tmp_path / "x.jpg"
    file.write_bytes(data)
    with pytest.raises(NotAnImage):
        read_image(file)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_bytes_never_raise_anything_else(small: PIL.Image.Image) -> None:
    random = np.random.default_rng(5)
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "HEIF", "BMP"):
        data = bytearray(encode(small, kind))
        for _ in range(40):
            damaged = bytearray(data)
            for position in random.integers(0, len(data), 12):
                damaged[position] = random.integers(256)
            try:
                image = read_image(bytes(damaged))
            except BadInput:
                continue
            assert image.ndim == 3


def test_only_files_are_opened(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a file"):
        read_image(tmp_path)
    with pytest.raises(BadInput, match="is not a file"):
        read_image(tmp_path / "absent.png")
    with pytest.raises(BadInput, match="is not a file"):
        read_image(Path("/dev/zero"))


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "<img src=x onerror=alert(1)>.png", "a\x00b.png", "‮gnp.exe", "[bold]x[/bold].png", "x" * 400],
)
def test_hostile_names_are_harmless_in_messages(name: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_image(Path("/tmp") / name)
    message = str(caught.value)
    assert len(message) < 200
    assert not set("<>[]\0‮") & set(message)
    assert "/" not in plain_name(Path(name))


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp"])
def test_written_pictures_carry_no_metadata(photo: Image, tmp_path: Path, ending: str) -> None:
    path = write_image(photo, tmp_path / f"face{ending}")
    with PIL.Image.open(path) as picture:
        assert not picture.getexif()
    assert np.abs(read_image(path).astype(int) - photo).mean() < 4


def test_png_is_exact_and_other_endings_are_refused(photo: Image, tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_image(encode_image(photo)), photo)
    with pytest.raises(BadInput, match=r"\.png, \.jpg or \.webp"):
        write_image(photo, tmp_path / "face.exe")
