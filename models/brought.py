"""Files that users bring themselves: official checkpoints and data that Mien must not pass on.

`mien weights add NAME PATH` runs the entry's check, then copies or converts the file into the weights folder.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Brought:
    """One file a user can bring.

    `install` names a function "package.module:function" with the signature `(source: Path, target: Path) -> str`:
    it checks names and shapes (raising BadWeights with what is wrong), writes `target`, and returns a sentence for the
    person. `filename` is the name of the file inside the weights folder.
    """

    name: str
    title: str
    filename: str
    install: str
    who: str
    licence: str
    where: str
    unlocks: str


BROUGHT: dict[str, Brought] = {}

_AUTHORS_DFC_VAE = {
    "who": "Hou, Shen, Sun and Qiu",
    "licence": "none stated: for your own use only",
    "where": "the links in the README of the authors' DFC-VAE repository (houxianxu/DFC-VAE)",
    "unlocks": "the authors' 128 px latent space in Explore",
}

BROUGHT |= {
    entry.name: entry
    for entry in (
        Brought(
            name="dfc-vae-authors-encoder",
            title="DFC-VAE, the authors' encoder (Lua Torch .t7, 128 px)",
            filename="dfc_vae_authors_encoder.safetensors",
            install="models.dfc_vae.load:install_authors_encoder",
            **_AUTHORS_DFC_VAE,
        ),
        Brought(
            name="dfc-vae-authors-decoder",
            title="DFC-VAE, the authors' decoder (Lua Torch .t7, 128 px)",
            filename="dfc_vae_authors_decoder.safetensors",
            install="models.dfc_vae.load:install_authors_decoder",
            **_AUTHORS_DFC_VAE,
        ),
        Brought(
            name="dfc-vae-paper",
            title="DFC-VAE of the paper's shape (64 px, 100 numbers)",
            filename="dfc_vae_paper64.safetensors",
            install="models.dfc_vae.load:install_paper",
            who="whoever trained it: your own run, or one of the PyTorch ports",
            licence="that of its maker",
            where="your own training",
            unlocks="a 64 px latent space in Explore",
        ),
        Brought(
            name="dfc-vae-antixk",
            title="DFC-VAE of the PyTorch-VAE collection (64 px, 128 numbers)",
            filename="dfc_vae_antixk.safetensors",
            install="models.dfc_vae.load:install_antixk",
            who="AntixK, PyTorch-VAE",
            licence="code Apache-2.0; the collection ships no checkpoint of this model",
            where="your own training with that collection",
            unlocks="a 64 px latent space in Explore",
        ),
        Brought(
            name="vgg19",
            title="VGG-19, the ruler of the paper's loss",
            filename="vgg19.safetensors",
            install="models.dfc_vae.load:install_vgg19",
            who="Simonyan and Zisserman; the file as torchvision gives it",
            licence="BSD-3-Clause (torchvision) or CC-BY-4.0 (Caffe original); trained on ImageNet",
            where="torchvision's vgg19 weights, or the Caffe model's layers as a state dict",
            unlocks="the losses VAE-123 and VAE-345 in `mien train dfc_vae`",
        ),
    )
}

_AUTHORS_FSRT: dict[str, str] = {
    "who": "Andre Rochow, Max Schwarz and Sven Behnke, FSRT (CVPR 2024)",
    "licence": "none stated for code or weights: all rights stay with the authors, and Mien passes nothing on",
    "where": "the Google Drive folder linked in the README of the authors' repository (andrerochow/fsrt)",
}

BROUGHT |= {
    entry.name: entry
    for entry in (
        Brought(
            name="fsrt-keypoints",
            title="FSRT's keypoint detector (kp_detector.pt, or a vox checkpoint of the First Order Motion Model)",
            filename="fsrt_kp_detector.safetensors",
            install="models.fsrt.checkpoints:install_keypoint_detector",
            unlocks="FSRT's official networks in Reenact, together with one of the vox256 files",
            **_AUTHORS_FSRT,
        ),
        Brought(
            name="fsrt-vox256",
            title="FSRT's networks, one source (vox256.pt)",
            filename="fsrt_vox256.safetensors",
            install="models.fsrt.checkpoints:install_networks",
            unlocks="FSRT's official networks in Reenact, from one picture",
            **_AUTHORS_FSRT,
        ),
        Brought(
            name="fsrt-vox256-two-sources",
            title="FSRT's networks, two sources (vox256_2Source.pt)",
            filename="fsrt_vox256_2source.safetensors",
            install="models.fsrt.checkpoints:install_networks",
            unlocks="FSRT's official networks in Reenact, from two pictures",
            **_AUTHORS_FSRT,
        ),
    )
}

BROUGHT |= {
    entry.name: entry
    for entry in (
        Brought(
            name="smirk",
            title="SMIRK's networks (SMIRK_em1.pt)",
            filename="smirk_em1.safetensors",
            install="models.smirk.official:install_smirk",
            who="George Retsinas and co-authors, SMIRK (CVPR 2024)",
            licence="none stated for the weights; what they were trained with allows research only",
            where="the Google Drive file linked in the README of the authors' repository (georgeretsi/smirk)",
            unlocks="SMIRK's official networks in Mesh, together with FLAME",
        ),
        Brought(
            name="flame",
            title="FLAME 2020 (generic_model.pkl, FLAME2020.zip, or a folder with SMIRK's assets too)",
            filename="flame2020.npz",
            install="models.smirk.flame_files:install_flame",
            who="the Max Planck Institute for Intelligent Systems",
            licence="FLAME's own: non-commercial research, not to be passed on; check the terms on its page",
            where="https://flame.is.tue.mpg.de after registering",
            unlocks="SMIRK's official networks in Mesh, together with SMIRK's checkpoint",
        ),
    )
}

_LATENT_OFER = {
    "who": "Isack Lee, Eungi Lee and Seok Bong Yoo, Latent-OFER (ICCV 2023)",
    "licence": "none stated for the weights; the faces they were trained on allow research only",
}
_MAE = {
    "who": "Kaiming He and co-authors, Meta AI (CVPR 2022)",
    "licence": "CC BY-NC 4.0: not for commercial use",
}

BROUGHT |= {
    entry.name: entry
    for entry in (
        Brought(
            name="mae-base",
            title="Masked autoencoder, base (mae_visualize_vit_base.pth)",
            filename="mae_visualize_vit_base.safetensors",
            install="models.latent_ofer.official:install_mae_base",
            where="https://dl.fbaipublicfiles.com/mae/visualize/mae_visualize_vit_base.pth",
            unlocks="the official coarse reconstruction in Occlusion",
            **_MAE,
        ),
        Brought(
            name="mae-large",
            title="Masked autoencoder, large (mae_visualize_vit_large.pth or mae_visualize_vit_large_ganloss.pth)",
            filename="mae_visualize_vit_large.safetensors",
            install="models.latent_ofer.official:install_mae_large",
            where="https://dl.fbaipublicfiles.com/mae/visualize/mae_visualize_vit_large.pth",
            unlocks="the official coarse reconstruction in Occlusion, slower and finer",
            **_MAE,
        ),
        Brought(
            name="latent-ofer-refiner",
            title="Latent-OFER's refiner (the generator's file, such as 30_net_G.pth)",
            filename="latent_ofer_refiner.safetensors",
            install="models.latent_ofer.official:install_refiner",
            where="not published; whoever trains it with the authors' code (leeisack/Latent-OFER) has it",
            unlocks="the official refinement in Occlusion",
            **_LATENT_OFER,
        ),
        Brought(
            name="latent-ofer-dan",
            title="DAN as Latent-OFER uses it (OURS_Combine_epoch13_acc0.7255.pth)",
            filename="latent_ofer_dan.safetensors",
            install="models.latent_ofer.official:install_dan",
            where="not published; whoever trains it with the authors' code (leeisack/Latent-OFER) has it",
            unlocks="DAN's emotions in Occlusion",
            **_LATENT_OFER,
        ),
        Brought(
            name="latent-ofer-classifier",
            title="Latent-OFER's classifier (KDEF_epoch22_acc0.89.pth)",
            filename="latent_ofer_classifier.safetensors",
            install="models.latent_ofer.official:install_classifier",
            where="the Google Drive link in the README of the authors' repository (leeisack/Latent-OFER)",
            unlocks="the official emotions from image and latents in Occlusion",
            **_LATENT_OFER,
        ),
    )
}

BROUGHT["emotiefflib"] = Brought(
    name="emotiefflib",
    title="EmotiEffLib's expression network (ONNX, eight classes)",
    filename="emotiefflib/features.onnx",
    install="models.emotiefflib:install",
    who="Andrey Savchenko and Sber AI Lab",
    licence="Apache-2.0; trained on AffectNet, whose terms are for research",
    where="sb-ai-lab/EmotiEffLib, models/affectnet_emotions/onnx, such as enet_b0_8_va_mtl.onnx",
    unlocks="a stronger backend of the expression vector (needs the extra mien[onnx])",
)

BROUGHT["lama"] = Brought(
    name="lama",
    title="LaMa (ONNX)",
    filename="lama/lama.onnx",
    install="models.occlusion.lama:install",
    who="Suvorov and others, Samsung AI",
    licence="Apache-2.0",
    where="an ONNX export such as lama_fp32.onnx of Carve/LaMa-ONNX",
    unlocks="LaMa in Occlusion's menu of methods (needs the extra mien[onnx])",
)

BROUGHT["ict-facekit"] = Brought(
    name="ict-facekit",
    title="ICT-FaceKit's head (the folder FaceXModel with its OBJ files, or an npz of the same arrays)",
    filename="ict_facekit.npz",
    install="models.head.ict:install_ict",
    who="the Vision and Graphics Lab of USC's Institute for Creative Technologies",
    licence="MIT",
    where="github.com/ICT-VGL/ICT-FaceKit: clone it (about 400 MB) and give its folder FaceXModel",
    unlocks="a full head with tongue, gums and 32 teeth in Mesh, moved by the same 52 coefficients",
)
