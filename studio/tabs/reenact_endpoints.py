"""What the Reenact tab does, as named endpoints for programs; docs/api.md describes them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from gradio import FileData
from gradio.events import api

from models.images import read_image
from studio.context import Context
from studio.errors import explained
from studio.services.reenact import hold
from studio.services.reenact_driver import motion_file, open_driver, read_whole, shelf_driver
from studio.services.reenact_edit import edit, named
from studio.services.reenact_exports import Made, carry_out
from studio.services.reenact_mark import png_file
from studio.services.reenact_motion import options_of
from studio.services.reenact_run import Performance, perform
from studio.tabs.expression_endpoints import GPU, file_of

RUN: dict[str, Any] = {"concurrency_id": "reenact", "concurrency_limit": 1}


def build(context: Context) -> None:
    """Register the endpoints; call inside the Blocks."""
    mark, most_frames = context.settings.synthetic_mark, context.settings.official_frames

    @explained
    def reenact(
        photos: list[FileData],
        driver: FileData | None = None,
        shelf: str = "",
        options: dict[str, Any] | None = None,
        kind: str = "film",
    ) -> Iterator[dict[str, Any]]:
        """Let the face of one to three photos perform a clip, a photo, a motion file or a motion of the shelf.

        Yields progress, then a file: film, side, gif, frames, still or motion. `options` are those of
        studio/services/reenact_motion.py, such as {"mode": "absolute", "strength": 1.2}.
        """
        chosen = options_of(options or {})
        performer = hold([read_image(path) for path, _ in map(file_of, photos)], name="photo")
        moving = shelf_driver(shelf) if driver is None else open_driver(*file_of(driver))
        work = perform(performer, moving, chosen, mark=mark, stopped=lambda: False, most_frames=most_frames)
        for step in work:
            if not isinstance(step, Performance):
                left = None if step.seconds_left is None else round(step.seconds_left, 1)
                yield {"complete": False, "share": step.share, "step": step.words, "seconds_left": left}
                continue
            wanted = "still" if step.is_still and kind == "film" else kind
            made = [one for one in carry_out(step, wanted) if isinstance(one, Made)][-1]
            yield {"complete": True, "frames": len(step.reel)} | _file(made.suffix, made.media_type, made.content)

    @explained
    def reenact_edit(
        photo: FileData,
        expression: dict[str, float] | None = None,
        turn: list[float] | None = None,
        paste_back: bool = True,
    ) -> dict[str, Any]:
        """Move a photo's face by named actions from 0 to 1, and by yaw, pitch and roll in degrees; gives a PNG.

        Actions that are not named stay as in the photo.
        """
        performer = hold([read_image(file_of(photo)[0])], name="photo")
        made = edit(performer, named(expression or {}, performer), turn or (0, 0, 0), paste_back=paste_back)
        return _file("reenacted.png", "image/png", png_file(made.shown(mark=mark, edge=10_000)))

    @explained
    def reenact_motion(driver: FileData) -> dict[str, Any]:
        """Read a clip's or a photo's motion; gives a .npz file without any pixel."""
        *_, whole = read_whole(open_driver(*file_of(driver)))
        motion = whole.motion
        told = {"frames": len(motion), "frames_per_second": motion.fps, "with_face": int(motion.present.sum())}
        return told | _file("motion.npz", "application/octet-stream", motion_file(motion))

    api(reenact, api_name="reenact", **RUN)
    api(reenact_edit, api_name="reenact_edit", **GPU)
    api(reenact_motion, api_name="reenact_motion", **RUN)


def _file(name: str, media_type: str, content: bytes) -> dict[str, Any]:
    return {"name": name, "media_type": media_type, "base64": base64.b64encode(content).decode()}
