"""Clips of every common kind are read frame by frame; broken ones give what they hold or a sentence."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from models.clips import frames, open_clip
from models.errors import BadClip

WIDTH, HEIGHT = 96, 64
Write = Callable[..., Path]


def grey_level(index: int) -> int:
    return 40 + 8 * (index % 20)


def picture(index: int) -> NDArray[np.uint8]:
    """Return a frame whose grey names its index, with a white top left quarter."""
    image = np.full((HEIGHT, WIDTH, 3), grey_level(index), np.uint8)
    image[: HEIGHT // 2, : WIDTH // 2] = 255
    return image


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a clip with PyAV and return its path."""

    def write_clip(
        name: str,
        *,
        codec: str = "libx264",
        pixels: str = "yuv420p",
        rate: int = 10,
        times: Iterable[int] = range(20),
        rotation: float = 0,
        sound: bool = False,
        images: Callable[[int], NDArray[np.uint8]] = picture,
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=rate)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
            stream.codec_context.time_base = Fraction(1, rate)
            if rotation:
                stream.set_display_rotation(rotation)
            voice = container.add_stream("aac", rate=16_000, layout="mono") if sound else None
            for index, time in enumerate(times):
                image = images(index)
                frame = av.VideoFrame.from_ndarray(image, format="rgba" if image.shape[2] == 4 else "rgb24")
                frame.pts, frame.time_base = time, Fraction(1, rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
            if voice is not None:
                for start in range(0, 16_000, 1024):
                    silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                    silence.sample_rate, silence.pts, silence.time_base = 16_000, start, Fraction(1, 16_000)
                    container.mux(voice.encode(silence))
                container.mux(voice.encode())
        return path

    return write_clip


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mov", "libx264", "yuv420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("b.webm", "libvpx", "yuv420p"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.mkv", "ffv1", "yuv420p"),
        ("a.gif", "gif", "gray"),
    ],
)
def test_common_containers(write: Write, name: str, codec: str, pixels: str) -> None:
    path = write(name, codec=codec, pixels=pixels)
    info = open_clip(path)
    assert (info.width, info.height, info.rotation, info.has_audio) == (WIDTH, HEIGHT, 0, False)
    assert info.frames_per_second == pytest.approx(10, rel=0.06)
    assert info.duration_s == pytest.approx(2.0, abs=0.11)
    read = list(frames(path))
    assert [frame.time_s for frame in read] == pytest.approx(np.arange(20) / 10, abs=0.011)
    for index, (_, image) in enumerate(read):
        assert image.shape == (HEIGHT, WIDTH, 3)
        assert abs(int(image[-8, -8].mean()) - grey_level(index)) < 6


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_honoured(write: Write, degrees: int) -> None:
    path = write("phone.mp4", rotation=degrees)
    info = open_clip(path)
    turned = np.rot90(picture(0), degrees // 90)
    assert (info.height, info.width) == turned.shape[:2]
    assert info.rotation == degrees
    image = next(iter(frames(path))).image
    assert np.abs(image.astype(int) - turned).mean() < 6


def test_variable_rate_keeps_its_times(write: Write) -> None:
    times = [0, 1, 2, 10, 11, 40, 41]
    path = write("vfr.mp4", rate=20, times=times)
    assert [frame.time_s for frame in frames(path)] == pytest.approx([time / 20 for time in times], abs=0.003)


def test_every_gives_frames_that_far_apart(write: Write) -> None:
    path = write("a.mp4", rate=30, times=range(60))
    read = [frame.time_s for frame in frames(path, every=0.25)]
    assert read == pytest.approx(np.arange(8) * 0.25, abs=1 / 29)


def half_transparent(index: int) -> NDArray[np.uint8]:
    image = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    image[..., 0] = 255
    image[:, : WIDTH // 2, 3] = 255
    return image


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("a.webm", "libvpx-vp9", "yuva420p"), ("a.mov", "qtrle", "argb"), ("p.mov", "prores_ks", "yuva444p10le")],
)
def test_transparent_pixels_are_white(write: Write, name: str, codec: str, pixels: str) -> None:
    image = next(iter(frames(write(name, codec=codec, pixels=pixels, images=half_transparent)))).image
    assert np.abs(image[20, 10].astype(int) - (255, 0, 0)).max() < 12
    assert image[20, -10].min() > 243


def test_transparent_gif_is_white(tmp_path: Path) -> None:
    hole = [PIL.Image.fromarray(half_transparent(0)) for _ in range(3)]
    hole[0].save(tmp_path / "a.gif", save_all=True, append_images=hole[1:], duration=100, disposal=2)
    image = next(iter(frames(tmp_path / "a.gif"))).image
    assert image[20, -10].tolist() == [255, 255, 255]
    assert np.abs(image[20, 10].astype(int) - (255, 0, 0)).max() < 12


def test_sound_is_reported_and_does_not_disturb(write: Write) -> None:
    path = write("a.mp4", sound=True)
    assert open_clip(path).has_audio
    assert len(list(frames(path))) == 20


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "voice.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        voice = container.add_stream("aac", rate=16_000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 16_000
        container.mux(voice.encode(silence))
        container.mux(voice.encode())
    with pytest.raises(BadClip, match="sound, but no picture"):
        open_clip(path)


def test_a_recording_without_a_duration_is_measured(write: Write) -> None:
    """Browsers record WebM live: the header is written before the end is known."""
    whole = write("a.webm", codec="libvpx")
    live = whole.with_name("live.webm")
    with av.open(str(whole)) as source, av.open(str(live), "w", options={"live": "1"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    with av.open(str(live)) as container:
        assert container.duration is None
    info = open_clip(live)
    assert info.duration_s == pytest.approx(2.0, abs=0.11)
    assert info.frames_per_second == pytest.approx(10, rel=0.1)


def test_too_long_is_refused_before_the_first_frame(write: Write) -> None:
    path = write("long.mp4", rate=1, times=range(0, 90, 5))
    with pytest.raises(BadClip, match="at most 60 s"):
        next(frames(path))
    assert len(list(frames(path, most_seconds=100))) == 18


def test_too_large_frames_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=1)
        stream.width, stream.height, stream.pix_fmt = 6000, 3000, "gray"
        container.mux(stream.encode(av.VideoFrame(6000, 3000, "gray")))
        container.mux(stream.encode())
    with pytest.raises(BadClip, match="6000x3000"):
        open_clip(path)


def test_a_clip_cut_off_gives_what_it_holds(write: Write) -> None:
    path = write("a.webm", codec="libvpx-vp9", images=noise, times=range(40))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 5 < len(list(frames(path))) < 40


def noise(index: int) -> NDArray[np.uint8]:
    return np.random.default_rng(index).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def test_damage_in_the_middle_costs_only_some_frames(write: Write) -> None:
    path = write("a.avi", codec="mpeg4", images=noise, times=range(40))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = b"\xff" * 400
    path.write_bytes(data)
    assert len(list(frames(path))) > 20


@pytest.mark.parametrize("data", [b"", b"text", b"\0" * 4096, b"\x1aE\xdf\xa3" + b"\1" * 300, b"GIF89a", b"RIFF"])
def test_other_bytes_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(data)
    with pytest.raises(BadClip):
        open_clip(path)


def test_an_mp4_without_its_index_is_refused(write: Write) -> None:
    path = write("a.mp4")
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(BadClip):
        list(frames(path))


def test_playlists_and_other_files_are_not_followed(write: Write, tmp_path: Path) -> None:
    write("a.mp4")
    playlist = tmp_path / "list.mp4"
    playlist.write_text("ffconcat version 1.0\nfile a.mp4\n")
    with pytest.raises(BadClip, match="not a clip"):
        open_clip(playlist)
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.mp4\n#EXT-X-ENDLIST\n")
    with pytest.raises(BadClip, match="not a clip"):
        open_clip(playlist)
    for absent in (tmp_path, tmp_path / "absent.mp4", Path("http://127.0.0.1:9/a.mp4"), Path("a\0.mp4")):
        with pytest.raises(BadClip, match="is not a file"):
            open_clip(absent)


def test_memory_does_not_grow_with_the_clip(write: Write) -> None:
    path = write("a.mp4", times=range(300))
    tracemalloc.start()
    try:
        count = sum(1 for _ in frames(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 300
    assert peak < 20 * WIDTH * HEIGHT * 3
