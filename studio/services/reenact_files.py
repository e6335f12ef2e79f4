"""From files to a file, for the command line: what to make is told by the ending of the file to write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from models.errors import BadInput
from models.images import read_image
from studio.services.reenact import hold
from studio.services.reenact_driver import Driver, open_driver, shelf_driver
from studio.services.reenact_exports import Made, carry_out
from studio.services.reenact_gallery import shelf_names
from studio.services.reenact_motion import Options
from studio.services.reenact_run import Performance, perform

KINDS = {".mp4": "film", ".gif": "gif", ".zip": "frames", ".png": "still", ".npz": "motion"}


def write_reenacted(
    sources: Sequence[Path],
    driver: str,
    out: Path,
    *,
    options: Options,
    mark: bool,
    beside: bool = False,
    told: Callable[[str, float | None], None] = lambda _words, _share: None,
) -> dict[str, Any]:
    """Write `out` and say what it holds; `driver` is a file or the name of a motion on the shelf.

    Raises BadInput for an ending that cannot be written, NoFaceFound, BadClip or MissingWeights.
    """
    kind = KINDS.get(out.suffix.lower())
    if kind is None:
        raise BadInput(f"{out.name}: what can be written ends in {', '.join(KINDS)}")
    performer = hold([read_image(path) for path in sources], name=sources[0].stem)
    made = None
    for step in perform(performer, _driver(driver), options, mark=mark, stopped=lambda: False):
        if isinstance(step, Performance):
            made = step
        else:
            told(step.words, step.share)
    if made is None:  # the last step is the performance; this is for the type checker's eyes
        raise BadInput("Nothing was made.")
    if made.is_still and kind not in ("still", "motion"):
        raise BadInput(f"{out.name}: {driver} is a single picture, which can be written as .png or .npz")
    wanted = "side" if beside and kind == "film" else kind
    file = [one for one in carry_out(made, wanted) if isinstance(one, Made)][-1]
    out.write_bytes(file.content)
    frames = len(made.reel)
    return {
        "out": str(out),
        "bytes": len(file.content),
        "frames": frames,
        "with_face": len(made.driver.seen) if made.driver.frames else frames,
        "frames_per_second": round(made.moved.rate, 3),
        "reference_s": None if made.moved.reference is None else round(made.moved.times[made.moved.reference], 3),
        "reading_s": round(made.reading_s, 2),
        "drawing_s": round(made.drawing_s, 2),
    }


def _driver(name: str) -> Driver:
    path = Path(name)
    if path.is_file():
        return open_driver(path, path.name)
    if name in shelf_names():
        return shelf_driver(name)
    raise BadInput(f"{name} is neither a file nor on the shelf, which holds {', '.join(shelf_names())}")
