"""What says that a picture was made: a word in its corner, and metadata in the file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from models.types import Image, check_image

WORD = "synthetic"
SHARE = 0.045
"""Height of the letters over the picture's shorter edge."""
LEAST_LETTERS, MOST_LETTERS = 9, 40
TITLE = "Synthetic: made with Mien"
COMMENT = "Synthetic: a face animated by Mien from one or more photos. This is no recording of the person shown."
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeSynthetic"
"""IPTC's word for a picture of which a part was made by a network."""
XMP = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="Mien">
<Iptc4xmpExt:DigitalSourceType>{SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def film_metadata() -> dict[str, str]:
    """Return what an MP4 says about itself."""
    return {"title": TITLE, "comment": COMMENT, "description": f"{COMMENT} {SOURCE_TYPE}", "artist": "Mien"}


def marked(image: Image) -> Image:
    """Return the picture with the word in its lower right corner."""
    height, width = check_image(image).shape[:2]
    patch = _patch(int(np.clip(round(min(height, width) * SHARE), LEAST_LETTERS, MOST_LETTERS)))
    tall, wide = (min(edge, room) for edge, room in zip(patch.shape[:2], (height, width), strict=True))
    patch = patch[:tall, :wide]
    made = image.copy()
    corner = made[height - tall :, width - wide :]
    share = patch[..., 3:].astype(np.uint16)
    corner[:] = ((patch[..., :3] * share + corner * (255 - share) + 127) // 255).astype(np.uint8)
    return made


@cache
def _patch(letters: int) -> NDArray[np.uint8]:
    """(h, w, 4) the word in white on a dark ground that fits any picture."""
    font = ImageFont.load_default(letters)
    left, top, right, bottom = font.getbbox(WORD)
    pad = max(2, round(letters * 0.4))
    size = (round(right - left) + 2 * pad, round(bottom - top) + 2 * pad)
    drawn = Pillow.new("RGBA", size, (21, 23, 26, 150))
    ImageDraw.Draw(drawn).text((pad - left, pad - top), WORD, font=font, fill=(255, 255, 255, 235))
    return np.asarray(drawn)


def png_file(image: Image) -> bytes:
    """Return a picture as PNG that says it is synthetic."""
    told = PngInfo()
    told.add_text("Title", TITLE)
    told.add_text("Comment", COMMENT)
    told.add_text("Software", "Mien")
    told.add_itxt("XML:com.adobe.xmp", XMP)
    stream = io.BytesIO()
    Pillow.fromarray(check_image(image)).save(stream, "PNG", pnginfo=told)
    return stream.getvalue()


def frames_file(frames: Iterable[tuple[float, Image]]) -> bytes:
    """Return pictures and their times in seconds as a ZIP of PNG files, one picture in memory at a time."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("README.txt", f"{COMMENT}\nEach name holds the frame's number and its time in milliseconds.\n")
        for number, (time_s, image) in enumerate(frames):
            archive.writestr(f"frame-{number:04d}-{round(time_s * 1000):06d}ms.png", png_file(image))
    return stream.getvalue()
