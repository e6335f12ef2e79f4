"""Pictures in and out: any common file becomes upright RGB without metadata, a hostile one a clear error."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageCms, ImageOps
from pillow_heif import register_heif_opener

from models.errors import BadInput, ImageTooLarge, NotAnImage
from models.types import Image, check_image

MOST_MEGAPIXELS = 50
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "GIF", "BMP", "TIFF")
"""What is opened at all: formats whose decoders run no programs, such as Ghostscript for EPS."""
FORMAT_WORDS = "JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP or TIFF"

register_heif_opener()


def read_image(source: Path | bytes) -> Image:
    """Decode one picture, turned upright, on white where it is transparent, the first frame of an animation.

    Colours are brought to sRGB where the file names another profile; 16 bits become 8. The size is checked before
    anything is decoded. Raises NotAnImage, ImageTooLarge (over 50 megapixels) or BadInput.
    """
    name = "the uploaded picture" if isinstance(source, bytes) else plain_name(source)
    with _open(source, name) as picture:
        width, height = picture.size
        if width * height > MOST_MEGAPIXELS * 1_000_000:
            raise _too_large(name, f"{width}x{height} pixels")
        try:
            picture.load()
        except PIL.Image.DecompressionBombError as error:
            raise _too_large(name, str(error)) from error
        except Exception as error:  # on broken bytes the decoders raise nearly every type there is
            raise NotAnImage(f"{name} ends too early or is damaged; save it again and retry") from error
        return np.ascontiguousarray(_to_rgb(_upright(picture)))


def plain_name(path: Path) -> str:
    """Return the file name fit for a message: printable, without markup signs, at most 80 characters."""
    kept = "".join(sign for sign in path.name if sign.isprintable() and sign not in "<>&[]`\"'")
    return (kept if len(kept) <= 80 else f"{kept[:60]}…{kept[-15:]}") or "the file"


def encode_image(image: Image, kind: Literal["PNG", "JPEG", "WEBP"] = "PNG", *, quality: int = 92) -> bytes:
    """Return the bytes of a picture file; it holds pixels only, no metadata."""
    stream = io.BytesIO()
    options = {} if kind == "PNG" else {"quality": quality}
    PIL.Image.fromarray(check_image(image)).save(stream, kind, **options)
    return stream.getvalue()


def write_image(image: Image, path: Path) -> Path:
    """Write a .png, .jpg or .webp file and return its path; raises BadInput for another ending."""
    kinds: dict[str, Literal["PNG", "JPEG", "WEBP"]] = {
        ".png": "PNG",
        ".jpg": "JPEG",
        ".jpeg": "JPEG",
        ".webp": "WEBP",
    }
    kind = kinds.get(path.suffix.lower())
    if kind is None:
        raise BadInput(f"{plain_name(path)}: a picture can be written as .png, .jpg or .webp")
    path.write_bytes(encode_image(image, kind))
    return path


def _open(source: Path | bytes, name: str) -> PIL.Image.Image:
    try:
        if isinstance(source, bytes):
            if not source:
                raise NotAnImage(f"{name} is empty")
            return PIL.Image.open(io.BytesIO(source), formats=FORMATS)
        if not source.is_file():  # a directory, a pipe or a device is never read
            raise BadInput(f"{name} is not a file")
        if source.stat().st_size == 0:
            raise NotAnImage(f"{name} is empty")
        return PIL.Image.open(source, formats=FORMATS)
    except BadInput:
        raise
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        raise _too_large(name, str(error)) from error
    except Exception as error:  # on broken bytes the decoders raise nearly every type there is
        raise NotAnImage(f"{name} is not a picture that can be read; use {FORMAT_WORDS}") from error


def _too_large(name: str, size: str) -> ImageTooLarge:
    return ImageTooLarge(f"{name} is too large ({size}); at most {MOST_MEGAPIXELS} megapixels can be read")


def _upright(picture: PIL.Image.Image) -> PIL.Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # EXIF is a free-form block; where it is damaged, the pixels still stand
        return picture


def _to_rgb(picture: PIL.Image.Image) -> NDArray[np.uint8]:
    """Return (height, width, 3) of any of Pillow's modes."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        return _from_deep_grey(picture)
    picture = _to_srgb(picture)
    if picture.has_transparency_data:
        coloured = picture.convert("RGBA")
        white = PIL.Image.new("RGBA", coloured.size, "white")
        return np.asarray(PIL.Image.alpha_composite(white, coloured).convert("RGB"))
    return np.asarray(picture.convert("RGB"))


def _from_deep_grey(picture: PIL.Image.Image) -> NDArray[np.uint8]:
    """Return the top 8 of 16 bits; 32-bit and floating-point pictures have no fixed white and are stretched."""
    values = np.asarray(picture)
    if picture.mode.startswith("I;16"):
        grey = np.round(values / 257.0)
    else:
        finite = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        span = float(finite.max() - finite.min())
        grey = np.round((finite - finite.min()) * (255.0 / span)) if span else np.zeros_like(finite)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)  # (height, width, 3)


def _to_srgb(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Bring RGB and CMYK pictures with a profile of their own to sRGB; a damaged profile is passed over."""
    profile_bytes = picture.info.get("icc_profile")
    if not profile_bytes or picture.mode not in ("RGB", "RGBA", "CMYK", "LAB"):
        return picture
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(profile_bytes))
        if "sRGB" in ImageCms.getProfileDescription(profile):
            return picture
        mode = "RGBA" if picture.mode == "RGBA" else "RGB"
        converted = ImageCms.profileToProfile(picture, profile, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return picture
    return converted or picture
