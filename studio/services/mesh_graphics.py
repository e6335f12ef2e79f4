"""Pictures of heads: pyrender where a graphics library works (EGL, then OSMesa), our own rasteriser where none does.

Which one works is tried once, in a process of its own: a graphics library that is half installed may end the process.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.head import drawing
from models.head.drawing import AMBIENT, FLATTER, LIGHTS, Drawable
from models.head.texture import normals_of
from studio.settings import choose_graphics

log = logging.getLogger("mien")

PLATFORMS = ("egl", "osmesa")
TRY_S = 60
LINEAR_AMBIENT = 0.16
TRIAL = """
import numpy as np, pyrender
renderer = pyrender.OffscreenRenderer(16, 16)
scene = pyrender.Scene(ambient_light=[1.0] * 3, bg_color=[0, 0, 0, 0])
corners = np.array([[-1, -1, 0], [1, -1, 0], [0, 1, 0]], np.float32)
scene.add(pyrender.Mesh([pyrender.Primitive(positions=corners, indices=np.array([[0, 1, 2]]))]))
camera = np.eye(4); camera[2, 3] = 2
scene.add(pyrender.OrthographicCamera(1.0, 1.0), pose=camera)
assert renderer.render(scene, flags=pyrender.RenderFlags.RGBA)[0].any()
"""
_one_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="graphics")
"""A graphics context belongs to the thread that made it."""
_choosing = threading.Lock()


def renderer() -> str:
    """Return what draws here: egl, osmesa or torch."""
    with _choosing:
        return _chosen()


@cache
def _chosen() -> str:
    for platform in PLATFORMS:
        if _works(platform):
            choose_graphics(platform)
            return platform
    log.info("no graphics library works here; pictures of heads are drawn by torch")
    return "torch"


def _works(platform: str) -> bool:
    code = f"import os; os.environ['PYOPENGL_PLATFORM'] = {platform!r}\n{TRIAL}"
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=TRY_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def draw(what: Drawable, *, height: int, width: int, smooth: int = 2) -> NDArray[np.uint8]:
    """Return (height, width, 4) RGBA, transparent where nothing is, by whatever works here."""
    if renderer() == "torch":
        return drawing.draw(what, height=height, width=width, smooth=smooth)
    return _one_thread.submit(_draw_with_gl, what, height, width, smooth).result()


def _draw_with_gl(what: Drawable, height: int, width: int, smooth: int) -> NDArray[np.uint8]:
    import pyrender  # noqa: PLC0415 - only after a platform was chosen

    scene = pyrender.Scene(bg_color=[0, 0, 0, 0], ambient_light=[_ambient(what)] * 3)
    scene.add(_mesh(what, height=height, width=width, pyrender=pyrender))
    reach = 4.0 * max(height, width)
    pose = np.eye(4)
    pose[2, 3] = reach / 2
    scene.add(pyrender.OrthographicCamera(width / 2, height / 2, znear=1.0, zfar=reach), pose=pose)
    for x, y, z, strength in LIGHTS:
        share = strength * (1 - LINEAR_AMBIENT) / (1 - AMBIENT) * (FLATTER if what.texture is not None else 1.0)
        scene.add(pyrender.DirectionalLight(intensity=share * np.pi), pose=_looking_from(np.array([x, y, z])))
    target = _offscreen()
    target.viewport_width, target.viewport_height = width * smooth, height * smooth
    flags = pyrender.RenderFlags.RGBA | pyrender.RenderFlags.SKIP_CULL_FACES
    picture: NDArray[np.uint8] = target.render(scene, flags=flags)[0]
    return drawing.smaller(picture.astype(np.float32), height=height, width=width)


@cache
def _offscreen() -> Any:
    """The one renderer of the graphics thread, with its compiled shaders."""
    import pyrender  # noqa: PLC0415 - only after a platform was chosen

    return pyrender.OffscreenRenderer(TRY_S, TRY_S)


def _ambient(what: Drawable) -> float:
    """pyrender adds up light before it is turned into sRGB, where half the light looks three quarters as bright."""
    return LINEAR_AMBIENT if what.texture is None else 1 - FLATTER + FLATTER * LINEAR_AMBIENT


def _mesh(what: Drawable, *, height: int, width: int, pyrender: Any) -> Any:
    middle = np.array([(width - 1) / 2, (height - 1) / 2, 0], np.float32)
    places = drawing.viewer(what.points - middle)
    places[:, 2] -= places[:, 2].mean()
    options: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    colours, uvs = None, None
    if what.texture is not None and what.uvs is not None:
        options["baseColorTexture"] = pyrender.Texture(source=what.texture, source_channels="RGB")
        uvs = what.uvs
    else:
        colours = np.concatenate([(what.colours / 255.0) ** 2.2, np.ones((len(what.colours), 1))], 1).astype(np.float32)
    primitive = pyrender.Primitive(
        positions=places,
        normals=normals_of(places, what.faces),
        texcoord_0=uvs,
        color_0=colours,
        indices=what.faces,
        material=pyrender.MetallicRoughnessMaterial(**options),
    )
    return pyrender.Mesh([primitive])


def _looking_from(direction: NDArray[Any]) -> NDArray[Any]:
    """(4, 4) pose of a light that shines from `direction`: its -z points away from there."""
    ahead = direction / np.linalg.norm(direction)
    across = np.cross([0.0, 1.0, 0.0], ahead)
    across /= np.linalg.norm(across)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([across, np.cross(ahead, across), ahead], 1)
    return pose
