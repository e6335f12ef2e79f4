"""Compare SMIRK's arithmetic with stored outputs of the official classes, array by array.

Weights, inputs and the head come from the rule in models.smirk.rule; the files hold outputs only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from models.errors import BadInput
from models.parity import ArrayCheck, compare
from models.smirk import rule, rule_face
from models.smirk.camera import project
from models.smirk.encoder import Coefficients, SmirkEncoder, split_expression
from models.smirk.fast import for_inference
from models.smirk.flame import FlameLayer, contour_rows, in_three_quarter_view, rotations, without_expression
from models.smirk.generator import SmirkGenerator
from models.smirk.parity_pictures import prep_checks, render_checks
from models.smirk.shading import vertex_normals

NETS, FLAME, FLOAT32_NORMALS, EXACT = 1e-5, 1e-6, 1e-5, 0.0
ENCODER_LEVELS = {"pose": (0, 1, 3, 5), "shape": (1, 2, 4, 6), "expression": (1, 2, 4, 6)}
HEADS = {"pose": "pose_cam_layers", "shape": "shape_layers", "expression": "expression_layers"}
STORED_NAMES = {
    "pose_params": "pose",
    "cam": "camera",
    "shape_params": "shape",
    "expression_params": "expression",
    "eyelid_params": "eyelids",
    "jaw_params": "jaw",
}

Reference = Mapping[str, np.ndarray]


def checks(fixtures: Path, *, seed: str, only: str | None = None) -> Iterator[ArrayCheck]:
    """Yield the checks of all parts, or of one: nets, flame, render or prep."""
    parts: dict[str, Callable[[Reference, str], Iterator[ArrayCheck]]] = {
        "nets": nets_checks,
        "flame": flame_checks,
        "render": render_checks,
        "prep": prep_checks,
    }
    if only is not None and only not in parts:
        raise BadInput(f"smirk has no part called {only!r}; there are {', '.join(parts)}")
    for name in [only] if only else parts:
        with torch.inference_mode():
            yield from parts[name](_read(fixtures, f"{name}_{seed}.npz"), seed)


def _read(fixtures: Path, filename: str) -> Reference:
    folders = [folder for folder in (fixtures, fixtures / "smirk") if (folder / filename).is_file()]
    if not folders:
        raise BadInput(f"there is no {filename} in {fixtures}")
    with np.load(folders[0] / filename, allow_pickle=False) as file:
        return dict(file)


def nets_checks(reference: Reference, seed: str) -> Iterator[ArrayCheck]:
    """Encoder and generator, with float64 arithmetic layer by layer and with the float32 copies that people use."""
    yield from _spots(reference, seed)
    yield from _heads(reference)
    yield from _encoder(reference, seed)
    yield from _generator(reference, seed)


def _spots(reference: Reference, seed: str) -> Iterator[ArrayCheck]:
    """A few values of the rule itself, so that a difference below can be blamed on the right side."""
    stem = rule.weight(seed, "smirk_encoder.pose_encoder.encoder.conv_stem.weight", (16, 3, 3, 3)).astype(np.float32)
    variance = rule.weight(seed, "smirk_generator.encoder1.enc1norm1.running_var", (32,))
    ours = {
        "input_encoder_0": rule.encoder_batch(seed)[0, :, :2, :2],
        "conv_stem": stem.ravel(),
        "running_var": variance,
        "u_hello": rule.unit(seed, "hello", (4,)),
    }
    for name, values in ours.items():
        stored = reference[f"rule/spot/{name}"]
        values = values if values.ndim > 1 else values[: len(stored)]
        yield compare(f"rule/spot/{name}", values, stored, tolerance=1e-6)


def _heads(reference: Reference) -> Iterator[ArrayCheck]:
    parts = split_expression(torch.from_numpy(reference["head/raw"]))
    for name, part in zip(("expression_params", "eyelid_params", "jaw_params"), parts, strict=True):
        yield compare(f"head/{name}", part.numpy(), reference[f"head/{name}"], tolerance=NETS)


def rule_made(net: nn.Module, seed: str, *, prefix: str) -> nn.Module:
    """Fill a network by the rule and set it to inference."""
    net.load_state_dict(rule.state_dict(seed, net.state_dict(), prefix=prefix), strict=True)
    return net.eval()


def watch(modules: Mapping[str, nn.Module]) -> dict[str, torch.Tensor]:
    """Return a dict that will hold each module's last output."""
    seen: dict[str, torch.Tensor] = {}
    for name, module in modules.items():
        module.register_forward_hook(lambda _module, _inputs, output, name=name: seen.__setitem__(name, output))
    return seen


def _encoder(reference: Reference, seed: str) -> Iterator[ArrayCheck]:
    net = rule_made(SmirkEncoder(), seed, prefix="smirk_encoder.")
    pixels = torch.from_numpy(rule.encoder_batch(seed))
    quick = for_inference(net)(pixels)
    watched: dict[str, nn.Module] = {}
    for branch, levels in ENCODER_LEVELS.items():
        part = getattr(net, f"{branch}_encoder")
        watched[f"{branch}/raw"] = getattr(part, HEADS[branch])
        stages = part.encoder.blocks
        if branch == "pose":  # its first strided map is the stem's; the larger network keeps the size in block 0
            watched["pose/0"] = part.encoder.bn1
            watched |= {f"pose/{place}": stages[level] for place, level in enumerate(levels, start=1)}
        else:
            watched[f"{branch}/0"] = stages[0]
            watched |= {f"{branch}/{place}": stages[level] for place, level in enumerate(levels, start=1)}
    seen = watch(watched)
    slow = net.double()(pixels.double())
    yield from _encoder_outputs(reference, slow, quick)
    for branch in ENCODER_LEVELS:
        yield from _branch(reference, seen, branch)


def _encoder_outputs(reference: Reference, slow: Coefficients, quick: Coefficients) -> Iterator[ArrayCheck]:
    for stored, name in STORED_NAMES.items():
        key = f"encoder/out/{stored}"
        yield compare(key, getattr(slow, name).numpy(), reference[key], tolerance=NETS)
        yield compare(key, getattr(quick, name).numpy(), reference[key], tolerance=NETS, note="float32, as used")


def _branch(reference: Reference, seen: Mapping[str, torch.Tensor], branch: str) -> Iterator[ArrayCheck]:
    yield compare(
        f"encoder/raw_head/{branch}",
        seen[f"{branch}/raw"].numpy(),
        reference[f"encoder/raw_head/{branch}"],
        tolerance=NETS,
    )
    last = seen[f"{branch}/4"]
    key = f"encoder/pooled/{branch}"
    yield compare(key, last.mean((2, 3)).numpy(), reference[key], tolerance=NETS)
    for level in range(5):
        features = seen[f"{branch}/{level}"]
        features = features.relu() if (branch, level) == ("pose", 0) else features
        summary = {
            "shape": np.array(features.shape),
            "corner": features[0, :4, :3, :3],
            "br": features[0, :4, -3:, -3:],
            "mean": features[0].mean((1, 2)),
        }
        for part, values in summary.items():
            key = f"encoder/stage/{branch}/{level}/{part}"
            yield compare(key, np.asarray(values), reference[key], tolerance=NETS)


def _generator(reference: Reference, seed: str) -> Iterator[ArrayCheck]:
    net = rule_made(SmirkGenerator(), seed, prefix="smirk_generator.")
    picture = torch.from_numpy(rule.generator_batch(seed))
    quick = for_inference(net)(picture)
    names = sorted({key.split("/")[2] for key in reference if key.startswith("generator/act/")})
    seen = watch({name: net.get_submodule(name) for name in names})
    slow = net.double()(picture.double())
    for note, painted in (("", slow), ("float32, as used", quick.double())):
        yield from _painted(reference, painted, note=note)
    for name in names:
        features = seen[name]
        summary = {
            "shape": np.array(features.shape),
            "corner": features[0, :4, :3, :3].numpy(),
            "mean_std": np.array([features.mean(), features.std()]),
        }
        for part, values in summary.items():
            key = f"generator/act/{name}/{part}"
            yield compare(key, values, reference[key], tolerance=NETS)


def _painted(reference: Reference, painted: torch.Tensor, *, note: str) -> Iterator[ArrayCheck]:
    summary = {
        "every8": painted[:, :, ::8, ::8],
        "rowmean": painted.mean(3),
        "colmean": painted.mean(2),
        "border_top": painted[:, :, 0],
        "mean_std": torch.stack((painted.mean((2, 3)), painted.std((2, 3)))),
    }
    for part, values in summary.items():
        key = f"generator/out/{part}"
        yield compare(key, values.numpy(), reference[key], tolerance=NETS, note=note)


def flame_checks(reference: Reference, seed: str) -> Iterator[ArrayCheck]:
    """The head by rule in float64, and its contour rows, landmarks, projection and normals."""
    layer = FlameLayer(rule_face.face_arrays(seed), dtype=torch.float64)
    given = rule_face.coefficients(seed)
    neck, eyes = rule_face.rotations_of_neck_and_eyes(seed)
    check = partial(_flame_check, reference)
    posed = layer(given)
    vertices = posed.vertices
    yield check("vertices_every7", vertices[:, ::7])
    yield check("vertices_mean_std", torch.stack((vertices.mean(1), vertices.std(1))))
    lids_open = Coefficients(**{**_fields(given), "eyelids": torch.zeros_like(given.eyelids)})
    yield check("vertices_no_eyelid_every101", layer(lids_open).vertices[:, ::101])
    yield check("joints_posed", posed.joints)
    yield check("rodrigues", rotations(given.pose))
    yield from _landmarks(reference, layer, given, vertices)
    turned = layer(given, neck=neck, eyes=eyes).vertices
    yield check("neck_eye/vertices_every101", turned[:, ::101])
    rows = contour_rows(rotations(given.pose), rotations(neck))
    yield check("neck_eye/landmarks_fan", layer.contour_and_inner_points(turned, rows=rows))
    rest = layer(in_three_quarter_view(without_expression(given))).vertices
    yield check("zero_exp_zero_pose/vertices_every101", rest[:, ::101])
    short = {**_fields(given), "shape": given.shape[:, :100], "expression": given.expression[:, :20]}
    yield check("short_params/vertices_every101", layer(Coefficients(**short)).vertices[:, ::101])
    yield check("projected_every101", project(vertices, given.camera)[:, ::101])
    points = layer.points_on(vertices, name="mediapipe")
    yield check("projected_landmarks_mp", project(points, given.camera)[..., :2])
    normals = vertex_normals(vertices.float(), layer.triangles)[:, ::101].numpy()
    yield compare(
        "vertex_normals_every101",
        normals,
        reference["vertex_normals_every101"],
        tolerance=FLOAT32_NORMALS,
        note="float32 in the reference",
    )


def _landmarks(
    reference: Reference, layer: FlameLayer, given: Coefficients, vertices: torch.Tensor
) -> Iterator[ArrayCheck]:
    rows = contour_rows(rotations(given.pose), rotations(torch.zeros_like(given.pose)))
    yield compare("dynamic_rows", rows.numpy(), reference["dynamic_rows"], tolerance=EXACT)
    yield _flame_check(reference, "landmarks_fan", layer.contour_and_inner_points(vertices, rows=rows))
    yield _flame_check(reference, "landmarks_fan_3d", layer.points_on(vertices, name="full"))
    yield _flame_check(reference, "landmarks_mp", layer.points_on(vertices, name="mediapipe"))


def _flame_check(reference: Reference, name: str, ours: torch.Tensor) -> ArrayCheck:
    return compare(name, ours.numpy(), reference[name], tolerance=FLAME)


def _fields(given: Coefficients) -> dict[str, torch.Tensor]:
    return {name: getattr(given, name) for name in Coefficients.__dataclass_fields__}
