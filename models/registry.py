"""Networks by name, built when first asked for and shared by everybody after that: nothing on them ever changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from safetensors import safe_open

from models import cards
from models.device import choose_device, precision
from models.errors import BadInput, MissingWeights
from models.weights import find_weight

HUB_INPAINTING = "hub-inpainting"
HUB_EXTRA = ("transformers", "accelerate")
"""Packages that a model of the Hub needs besides Mien's own: the extra `mien[hub-inpainting]`."""


@dataclass(frozen=True)
class Places:
    """Where networks run and where files that do not ship may lie."""

    device: str = "auto"
    weights_folders: tuple[Path, ...] = ()
    inpaint_model: str = ""
    """A pipeline of the Hub, by its id or as a folder, that a host lets fill holes; empty: none."""
    inpaint_on_cpu: bool = False
    """Whether it may run where there is no GPU."""


_chosen: list[Places] = [Places()]


def configure(
    *, device: str, weights_folders: tuple[Path, ...], inpaint_model: str = "", inpaint_on_cpu: bool = False
) -> None:
    """Say once, before the first `load`, what to run on; raises RuntimeError when networks are already built."""
    places = Places(device, weights_folders, inpaint_model, inpaint_on_cpu)
    if places == _chosen[0]:
        return
    if load.cache_info().currsize:
        raise RuntimeError("networks are already loaded; configure the registry before the first load")
    _chosen[0] = places


def places() -> Places:
    """Return what `configure` was told."""
    return _chosen[0]


def shown_name(model: str) -> str:
    """Return what to call a model: its id on the Hub, or a folder's name, without where that lies."""
    return Path(model).name if model and Path(model).expanduser().is_dir() else model


def shipped(name: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Return the config, the float32 tensors and the backend name of a shipped weight."""
    card_file = cards.PRETRAINED / f"{name}.json"
    if not card_file.is_file():
        raise MissingWeights(f"the weights {name!r} are not in {cards.PRETRAINED.name}; run `mien train {name}`")
    card = cards.read_card(card_file)
    path = cards.check_weight(card)
    with safe_open(path, framework="pt") as stored:
        config = json.loads(stored.metadata()["config"])
        tensors = {key: stored.get_tensor(key) for key in stored.keys()}
    return config, {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}, card.backend


def _faces() -> Any:
    from models.faces import detect  # noqa: PLC0415 - torch and OpenCV load when a face is first looked for
    from models.faces.finder import FaceFinder  # noqa: PLC0415
    from models.faces.network import FaceNet  # noqa: PLC0415

    config, tensors, _ = shipped("faces")
    network = FaceNet(**config)
    network.load_state_dict(tensors)
    device = choose_device(places().device)
    file = find_weight("yunet", *places().weights_folders)
    detector = detect.yunet(file) if file else detect.haar()
    own = FaceFinder(network, detector, device=device, dtype=precision(device))
    task_file = find_weight("face_landmarker", *places().weights_folders)
    if task_file is None or not find_spec("mediapipe"):
        return own
    from models.faces.mediapipe_backend import MediaPipeFinder  # noqa: PLC0415 - an extra that most lack

    return MediaPipeFinder(task_file, own)


def _deepfever() -> Any:
    brought = find_weight("emotiefflib", *places().weights_folders)
    if brought is not None and find_spec("onnxruntime"):
        from models.emotiefflib import EmotiEffReader  # noqa: PLC0415 - an extra that most lack

        return EmotiEffReader(brought)
    from models.deepfever import ExpressionNet, ExpressionReader  # noqa: PLC0415

    config, tensors, backend = shipped("deepfever")
    network = ExpressionNet(**config)
    network.load_state_dict(tensors)
    device = choose_device(places().device)
    return ExpressionReader(network, backend=backend, device=device, dtype=precision(device))


def _head() -> Any:
    from models.head import load_head  # noqa: PLC0415 - torch loads when a head is first asked for
    from models.head.actions import load_actions  # noqa: PLC0415
    from models.head.reader import HeadReader  # noqa: PLC0415
    from models.smirk_open.encoder import OpenEncoder  # noqa: PLC0415
    from models.smirk_open.reader import OpenReader  # noqa: PLC0415

    actions = load_actions() if (cards.PRETRAINED / "head_actions.json").is_file() else None
    if not (cards.PRETRAINED / "smirk_open.json").is_file():
        return HeadReader(load_head(), actions=actions)
    config, tensors, backend = shipped("smirk_open")
    network = OpenEncoder(**config)
    network.load_state_dict(tensors)
    device = choose_device(places().device)
    encoder = OpenReader(network, load_head(), backend=backend, device=device, dtype=precision(device))
    return HeadReader(load_head(), encoder, actions=actions)


def _smirk_open_generator() -> Any:
    from models.head import load_head  # noqa: PLC0415 - torch loads when a photo is first painted
    from models.smirk_open.generator import OpenGenerator  # noqa: PLC0415
    from models.smirk_open.painter import ExpressionPainter  # noqa: PLC0415

    config, tensors, backend = shipped("smirk_open_generator")
    network = OpenGenerator(**config)
    network.load_state_dict(tensors)
    device = choose_device(places().device)
    return ExpressionPainter(network, load_head(), backend=backend, device=device, dtype=precision(device))


def _dfc_vae() -> Any:
    from models.dfc_vae.space import load_space  # noqa: PLC0415 - torch loads when a face is first coded

    return load_space()


def _occlusion() -> Any:
    from models.occlusion.load import load_reader  # noqa: PLC0415 - torch loads when a face is first completed

    return load_reader()


def _fsrt_open() -> Any:
    from models.fsrt_open.animator import Animator  # noqa: PLC0415 - torch loads when a face is first animated
    from models.fsrt_open.network import FsrtOpen  # noqa: PLC0415

    config, tensors, backend = shipped("fsrt_open")
    network = FsrtOpen(**config)
    network.load_state_dict(tensors)
    return Animator(network, backend=backend, device=choose_device(places().device))


def _fsrt(weight: str, *, half: bool = False) -> Any:
    from models.fsrt.checkpoints import load_keypoint_detector, load_networks  # noqa: PLC0415 - torch loads now
    from models.fsrt.official import OfficialFSRT  # noqa: PLC0415
    from models.weights import require_weight  # noqa: PLC0415

    folders = places().weights_folders
    keypoints, networks = require_weight("fsrt-keypoints", *folders), require_weight(weight, *folders)
    device = choose_device(places().device)
    wanted = "bfloat16" if half else None
    return OfficialFSRT(load_keypoint_detector(keypoints), load_networks(networks), device=device, precision=wanted)


def _smirk() -> Any:
    from models.smirk.official import load_reader  # noqa: PLC0415 - torch loads when a head is first asked for
    from models.weights import require_weight  # noqa: PLC0415

    folders = places().weights_folders
    checkpoint, flame = require_weight("smirk", *folders), require_weight("flame", *folders)
    return load_reader(checkpoint, flame, device=choose_device(places().device))


def _hub_inpainting() -> Any:
    from models.occlusion.hub import load_inpainting  # noqa: PLC0415 - torch loads when a hole is first filled

    chosen = places()
    if not chosen.inpaint_model:
        raise MissingWeights("no inpainting model is named; the host does that with MIEN_INPAINT_MODEL")
    return load_inpainting(chosen.inpaint_model, device=choose_device(chosen.device), on_cpu=chosen.inpaint_on_cpu)


BROUGHT_BUILDERS: dict[str, Callable[[], Any]] = {
    "smirk": _smirk,
    HUB_INPAINTING: _hub_inpainting,
    "fsrt-vox256": partial(_fsrt, "fsrt-vox256"),
    "fsrt-vox256-half": partial(_fsrt, "fsrt-vox256", half=True),
    "fsrt-vox256-two-sources": partial(_fsrt, "fsrt-vox256-two-sources"),
    "fsrt-vox256-two-sources-half": partial(_fsrt, "fsrt-vox256-two-sources", half=True),
}
"""Networks that a user brings or names; `load` builds them, `load_all` does not ask for them."""

BUILDERS: dict[str, Callable[[], Any]] = {
    "faces": _faces,
    "deepfever": _deepfever,
    "head": _head,
    "smirk_open_generator": _smirk_open_generator,
    "dfc_vae": _dfc_vae,
    "fsrt_open": _fsrt_open,
    "occlusion": _occlusion,
}


@cache
def load(name: str) -> Any:
    """Return the wrapper called `name`, building it at the first call; raises BadInput for an unknown name.

    Raises MissingWeights or BadWeights when its file is absent or not the one its card speaks of.
    """
    builders = BUILDERS | BROUGHT_BUILDERS
    if name not in builders:
        raise BadInput(f"no network is called {name!r}; there are {', '.join(builders)}")
    return builders[name]()


def load_all() -> None:
    """Build every network: for hosts such as ZeroGPU, which want them in place before the first visitor."""
    for name in BUILDERS:
        load(name)
