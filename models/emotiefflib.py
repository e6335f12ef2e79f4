"""EmotiEffLib's networks as a stronger backend of the expression vector, when the user has brought one.

The published ONNX file ends in class scores. Adding it keeps the features before them as a second output and fits a
linear map of those to 64 numbers: principal directions over Mien's own made faces. Needs the extra `mien[onnx]`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.appearance import starter_faces
from models.cards import file_hash
from models.errors import BadWeights
from models.faces import align
from models.onnx_files import package, session
from models.types import CIRCUMPLEX, EMOTIONS, Expression, Face, Image

CLASSES = ("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
"""The order of the published eight-class models; `_mtl` models add valence and arousal."""
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
CROP_SCALE = 1.15
VECTOR, COMPACT = 64, 16
FEATURES = "mien_features"
MAP_KEYS = ("mien_mean", "mien_map")


def install(source: Path, target: Path) -> str:
    """Check an EmotiEffLib ONNX file, keep its features as an output and fit the linear map; one sentence back.

    Raises MissingWeights without the extra, BadWeights when the file is another network.
    """
    onnx = package("onnx")
    model = _read(onnx, source)
    with_features(onnx, model)
    features = _features_of(model.SerializeToString(), starter_faces())
    mean, directions = principal_map(features)
    for key, values in zip(MAP_KEYS, (mean, directions), strict=True):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, " ".join(f"{value:.6g}" for value in values.ravel())
    target.write_bytes(model.SerializeToString())
    return f"{source.name}: {features.shape[1]} features, mapped to {VECTOR} numbers on {len(features)} made faces"


def _read(onnx: Any, source: Path) -> Any:
    decode_error = package("google.protobuf.message").DecodeError
    try:
        model = onnx.load(str(source))
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, decode_error, ValueError, OSError) as error:
        raise BadWeights(f"{source.name} is not a sound ONNX file ({type(error).__name__})") from error
    inputs = [entry.name for entry in model.graph.input]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise BadWeights(
            f"{source.name} has {len(inputs)} inputs and {len(model.graph.output)} outputs; one of each fits"
        )
    return model


def with_features(onnx: Any, model: Any) -> None:
    """Add what goes into the last Gemm or MatMul as the output FEATURES; raises BadWeights without such a layer."""
    last = next((node for node in reversed(model.graph.node) if node.op_type in {"Gemm", "MatMul"}), None)
    if last is None:
        raise BadWeights("the network has no last linear layer, so its features cannot be told from its scores")
    kept = onnx.helper.make_node("Identity", [last.input[0]], [FEATURES])
    model.graph.node.append(kept)
    model.graph.output.append(onnx.helper.make_tensor_value_info(FEATURES, onnx.TensorProto.FLOAT, None))


def principal_map(features: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean (F,) and directions (F, 64) of features (N, F), scaled by the square root of what each explains.

    Full whitening would make noise as large as expression; none would leave one direction speaking for all.
    """
    mean = features.mean(0)
    _, strength, axes = np.linalg.svd(features - mean, full_matrices=False)
    count = min(VECTOR, len(strength))
    directions = np.zeros((features.shape[1], VECTOR), np.float32)
    directions[:, :count] = axes[:count].T / np.sqrt(strength[:count] + 1e-6 * strength[0])
    return mean.astype(np.float32), directions


def _features_of(model: bytes, faces: tuple[Any, ...]) -> NDArray[np.float32]:
    opened = session(model)
    size = input_size(opened)
    rows = []
    for made in faces:
        pixels = align.crop(made.as_face(), made.image, size=size, scale=CROP_SCALE).pixels
        rows.append(opened.run([FEATURES], {opened.get_inputs()[0].name: prepare([pixels])})[0].reshape(-1))
    return np.stack(rows).astype(np.float32)


def input_size(opened: Any) -> int:
    """Edge of the square the network takes, in pixels; 224 where the file leaves it open."""
    shape = opened.get_inputs()[0].shape
    if len(shape) != 4 or shape[1] not in (3, "3"):
        raise BadWeights(f"the network takes {shape}; an image network takes (N, 3, size, size)")
    return shape[2] if isinstance(shape[2], int) else 224


def prepare(crops: list[Image]) -> NDArray[np.float32]:
    """RGB crops (size, size, 3) to the network's (N, 3, size, size), ImageNet's mean and deviation."""
    pixels = (np.stack(crops).astype(np.float32) / 255 - MEAN) / DEVIATION
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


class EmotiEffReader:
    """The same door as ExpressionReader, on a network that the user brought."""

    def __init__(self, file: Path) -> None:
        self.session = session(file.read_bytes())
        self.size = input_size(self.session)
        notes = self.session.get_modelmeta().custom_metadata_map
        if not all(key in notes for key in MAP_KEYS):
            raise BadWeights(f"{file.name} was not added by Mien; run `mien weights add emotiefflib FILE`")
        self.mean = np.array(notes[MAP_KEYS[0]].split(), np.float32)
        self.map = np.array(notes[MAP_KEYS[1]].split(), np.float32).reshape(len(self.mean), VECTOR)
        self.backend = f"emotiefflib-{file_hash(file)[:8]}"

    def read(self, image: Image, faces: list[Face]) -> list[Expression]:
        """Read every face of a picture, in the faces' order; no face gives an empty list."""
        return self.read_crops([align.crop(face, image, size=self.size, scale=CROP_SCALE).pixels for face in faces])

    def read_crops(self, crops: list[Image], *, batch: int = 16) -> list[Expression]:
        """Read upright crops of (size, size, 3) pixels, cut at CROP_SCALE."""
        results: list[Expression] = []
        name = self.session.get_inputs()[0].name
        scores_name = self.session.get_outputs()[0].name
        for start in range(0, len(crops), batch):
            part = prepare(crops[start : start + batch])
            for row in part:  # published files have a batch of one written into them
                scores, features = self.session.run([scores_name, FEATURES], {name: row[None]})
                results.append(self._row(scores.reshape(-1), features.reshape(-1)))
        return results

    def _row(self, scores: NDArray[np.float32], features: NDArray[np.float32]) -> Expression:
        chances = np.exp(scores[: len(CLASSES)] - scores[: len(CLASSES)].max())
        chances = chances / chances.sum()
        emotions = np.zeros(len(EMOTIONS), np.float32)
        for name, chance in zip(CLASSES, chances, strict=True):
            emotions[EMOTIONS.index(name)] = chance
        if len(scores) >= len(CLASSES) + 2:
            valence, arousal = (float(np.clip(value, -1, 1)) for value in scores[len(CLASSES) : len(CLASSES) + 2])
        else:
            valence, arousal = (float(v) for v in chances @ np.array([CIRCUMPLEX[name] for name in CLASSES]))
        vector = (features - self.mean) @ self.map
        return Expression(_unit(vector), _unit(vector[:COMPACT]), emotions, valence, arousal, self.backend)


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-8), dtype=np.float32)
