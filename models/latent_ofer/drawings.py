"""The occluders themselves: each function draws one on a scene and returns its layer."""

from __future__ import annotations

import cv2
import numpy as np

from models.latent_ofer.brushes import (
    FRACTION,
    Floats,
    Layer,
    Scene,
    any_colour,
    curve,
    ellipse,
    fixed,
    noise,
    outline,
    paint,
    pick,
    rounded,
    stroke,
    surface,
    turn,
)

JAW = [454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234]
"""The edge of the face from the picture's right ear over the chin to the left ear."""
BLACK, WHITE = (0.04, 0.04, 0.05), (0.93, 0.93, 0.92)
WORDS = ("HELLO", "SALE", "No. 7", "2026", "news", "LIVE", "Mien", "photo", "WOW", "ok", "@home", "100%", "play")


def sunglasses(scene: Scene) -> Layer:
    """Two dark lenses of a random cut, a bridge and temples."""
    p, power = scene.points, scene.between(2.0, 4.5)
    frame = pick(scene, BLACK, (0.25, 0.15, 0.08), (0.6, 0.6, 0.62), (0.5, 0.1, 0.1))
    lens = surface(scene, pick(scene, (0.06, 0.06, 0.07), (0.2, 0.12, 0.06), (0.08, 0.12, 0.2)), folds=0.3)
    widen, tall = scene.between(0.95, 1.2), scene.between(0.7, 1.0)
    layer = Layer(lens, np.zeros(scene.size, np.float32))
    rim = max(1.5, scene.length * scene.between(0.012, 0.035))
    for outer, inner, ear in ((33, 133, 127), (263, 362, 356)):
        width = max(float(np.linalg.norm(p[outer] - p[inner])), scene.length * 0.1) * widen
        centre = scene.at((p[outer] + p[inner]) / 2, along=0.02)
        shape = ellipse(scene, centre, width, width * tall, power=power)
        layer = paint(layer, lens, outline(scene, shape))
        layer = paint(layer, frame * scene.light, stroke(scene, np.vstack([shape, shape[:1]]), rim))
        layer = paint(layer, frame * scene.light, stroke(scene, [p[outer] * 0.7 + centre * 0.3, p[ear]], rim * 1.3))
    bridge = curve([scene.at(p[133], along=-0.01), scene.at(p[168], along=0.01), scene.at(p[362], along=-0.01)])
    return paint(layer, frame * scene.light, stroke(scene, bridge, rim * 1.4))


def medical_mask(scene: Scene) -> Layer:
    """A pleated mask from the bridge of the nose to below the chin, with straps."""
    p = scene.points
    colour = pick(scene, (0.62, 0.8, 0.9), WHITE, (0.1, 0.1, 0.12), (0.93, 0.75, 0.8), (0.6, 0.8, 0.65))
    nose = p[197] * (high := scene.between(0.2, 1.0)) + p[5] * (1 - high)
    left, right = scene.at(p[93], along=-0.02), scene.at(p[323], along=-0.02)
    top = curve([left, (left + nose) / 2 + scene.length * 0.03 * scene.down, nose, (right + nose) / 2, right])
    jaw = p[JAW[1:-1]] + (p[JAW[1:-1]] - p[1]) * 0.06
    jaw = jaw + scene.down * scene.length * 0.02
    layer = Layer(surface(scene, colour), np.zeros(scene.size, np.float32))
    for corner, ear in ((left, 127), (right, 356), (p[58], 234), (p[288], 454)):
        layer = paint(layer, np.array(WHITE, np.float32) * scene.light, stroke(scene, [corner, p[ear]], 2))
    cover = outline(scene, np.vstack([top, jaw]))
    cloth = surface(scene, colour) * rounded(cover, depth=scene.length * 0.18)[..., None]
    for share in (0.3, 0.5, 0.7):
        pleat = curve([left * (1 - share) + p[172] * share, nose * (1 - share) + p[152] * share,
                       right * (1 - share) + p[397] * share])  # fmt: skip
        line = cv2.GaussianBlur(stroke(scene, pleat, scene.length * 0.012), (0, 0), max(scene.length * 0.006, 0.5))
        cloth = cloth * (1 - 0.35 * line[..., None])
    return paint(layer, cloth, cover)


def scarf(scene: Scene) -> Layer:
    """A knitted scarf over mouth and chin, sometimes up to the nose."""
    p = scene.points
    rise = scene.between(-0.12, 0.12)
    middle = scene.at(p[2], along=0.08 + rise / 2)
    ends = [scene.at(p[index], across=side * 0.2, along=rise) for index, side in ((132, -1), (361, 1))]
    wave = [scene.at((end + middle) / 2, along=scene.between(-0.04, 0.05)) for end in ends]
    top = curve([ends[0], wave[0], middle, wave[1], ends[1]])
    low = [scene.at(p[152], across, scene.between(0.3, 0.5)) for across in (0.55, 0.2, -0.2, -0.55)]
    cover = outline(scene, np.vstack([top, curve(low)]))
    cloth = surface(scene, any_colour(scene), folds=0.3)
    rows, columns = np.mgrid[0 : scene.size[0], 0 : scene.size[1]].astype(np.float32)
    along = rows * scene.down[1] + columns * scene.down[0] + 4 * noise(scene, cell=scene.length / 4)
    knit = 0.88 + 0.12 * np.sin(along * 2 * np.pi / max(scene.length * scene.between(0.03, 0.06), 3))
    if scene.chance.random() < 0.6:
        stripes = np.sin(along * 2 * np.pi / (scene.length * scene.between(0.15, 0.3))) > scene.between(-0.3, 0.6)
        cloth = np.where(stripes[..., None], surface(scene, any_colour(scene), folds=0.3), cloth)
    return Layer((cloth * knit[..., None]).astype(np.float32), cover)


def hand(scene: Scene) -> Layer:
    """A palm and four or five fingers in a skin tone, over mouth, cheek, eyes or forehead."""
    p = scene.points
    anchor = p[scene.chance.choice([14, 205, 425, 168, 33, 263, 9, 1])]
    skin = np.median(scene.image[outline(scene, p[JAW]) > 0.5].reshape(-1, 3), axis=0)
    if scene.chance.random() < 0.4 or not np.isfinite(skin).all():
        skin = pick(scene, (0.95, 0.78, 0.67), (0.8, 0.58, 0.44), (0.55, 0.36, 0.25), (0.33, 0.21, 0.15))
    skin = np.clip(skin / scene.light * scene.between(0.85, 1.1), 0, 1)
    size, lean = scene.length * scene.between(0.3, 0.42), scene.between(-130, 130)
    palm = scene.at(anchor, along=0.25)
    side = scene.chance.choice([-1, 1])
    layer = Layer(surface(scene, skin), np.zeros(scene.size, np.float32))
    parts = [turn(ellipse(scene, palm, size * 0.5, size * 0.55, power=2.8), anchor, lean)]
    layer = _skin(scene, layer, outline(scene, parts[0]), skin, depth=size * 0.35)
    wrist = turn(np.stack([palm, palm + scene.down * size * 3]), anchor, lean)
    layer = _skin(scene, layer, stroke(scene, wrist, size * 0.72), skin, depth=size * 0.3)
    spread = scene.between(0.6, 1.3)
    for index, reach in enumerate((0.85, 1.0, 1.06, 0.92)):
        root = palm + scene.right * side * size * (index - 1.5) * 0.26 - scene.down * size * 0.3
        tip = root - scene.down * size * reach * 0.85 + scene.right * side * size * (index - 1.5) * 0.16 * spread
        layer = _finger(scene, layer, turn(np.stack([root, (root + tip) / 2, tip]), anchor, lean), size, skin)
    if scene.chance.random() < 0.7:
        root = palm - scene.right * side * size * 0.4 + scene.down * size * 0.2
        tip = root - scene.right * side * size * 0.45 - scene.down * size * 0.4
        layer = _finger(scene, layer, turn(np.stack([root, (root + tip) / 2, tip]), anchor, lean), size, skin)
    return layer


def _finger(scene: Scene, layer: Layer, line: Floats, size: float, skin: Floats) -> Layer:
    """Paint one finger along a line (3, 2), with a dark edge and a nail at its end."""
    edge = stroke(scene, line, size * 0.26)
    layer = paint(layer, skin * scene.light * 0.5, edge * 0.6)
    layer = _skin(scene, layer, stroke(scene, line, size * 0.22), skin, depth=size * 0.1)
    nail = line[2] * 1.02 - line[1] * 0.02
    patch = outline(scene, ellipse(scene, nail, size * 0.06, size * 0.07))
    return paint(layer, np.clip(skin * scene.light * 1.15 + 0.05, 0, 1), patch * 0.7)


def _skin(scene: Scene, layer: Layer, cover: Floats, skin: Floats, *, depth: float) -> Layer:
    shade = rounded(cover, depth=depth)[..., None]
    return paint(layer, surface(scene, skin, rough=0.015, folds=0.05) * (0.4 + 0.6 * shade), cover)


def hair(scene: Scene) -> Layer:
    """Strands that fall from the top of the head over one side of the face, or a fringe over the brows."""
    p, side = scene.points, scene.chance.choice([-1.0, 1.0])
    colour = _hair_colour(scene)
    fringe = scene.chance.random() < 0.35
    reach = scene.between(0.22, 0.36) if fringe else scene.between(0.6, 1.2)
    middle, spread = (0.0, 0.34) if fringe else (side * scene.between(0.12, 0.3), scene.between(0.05, 0.13))
    paints = np.zeros((*scene.size, 3), np.float32)
    strands = np.zeros(scene.size, np.uint8)
    for _ in range(int(scene.between(140, 220))):
        place = float(np.clip(scene.chance.normal(), -2, 2)) * spread
        root = scene.at(p[10], place * 0.5 - middle * 0.3, -0.3)
        crown = scene.at(p[10], place * 0.8 + middle * 0.5, -0.08 + scene.chance.normal(scale=0.02))
        tip = scene.at(p[10], middle + place + scene.chance.normal(scale=0.03), reach * scene.between(0.7, 1.05))
        sway = scene.at((crown + tip) / 2, side * scene.between(0.0, 0.07), 0)
        line = [fixed(curve([root, crown, sway, tip], count=24))]
        thick = max(1, round(scene.length * scene.between(0.003, 0.011)))
        shade = np.clip(colour * scene.light * scene.between(0.55, 1.4), 0, 1)
        cv2.polylines(paints, line, False, [float(v) for v in shade], thick, cv2.LINE_8, FRACTION)
        cv2.polylines(strands, line, False, 255, thick, cv2.LINE_8, FRACTION)
    return Layer(cv2.GaussianBlur(paints, (0, 0), 0.5), cv2.GaussianBlur(strands, (0, 0), 0.5).astype(np.float32) / 255)


def _hair_colour(scene: Scene) -> Floats:
    """Return the colour above the forehead, which often is hair, or one that hair has."""
    above = scene.at(scene.points[10], along=-0.12).round().astype(int)
    inside = 0 <= above[0] < scene.size[1] and 0 <= above[1] < scene.size[0]
    if inside and scene.chance.random() < 0.4:
        return np.clip(scene.image[above[1], above[0]] / scene.light, 0.03, 1)
    browns = (0.22, 0.13, 0.07), (0.55, 0.38, 0.2), (0.4, 0.14, 0.06)
    return pick(scene, (0.07, 0.05, 0.04), (0.75, 0.72, 0.7), *browns)


def cup(scene: Scene) -> Layer:
    """A cup or glass in front of the mouth, with a rim, a band and sometimes a handle."""
    p = scene.points
    centre = scene.at(p[13], scene.between(-0.08, 0.08), scene.between(0.1, 0.2))
    lean, width, height = (
        scene.between(-25, 25),
        scene.length * scene.between(0.17, 0.25),
        scene.length * scene.between(0.2, 0.3),
    )
    taper = scene.between(0.65, 1.0)

    def placed(shape: Floats) -> Floats:
        return turn(shape, centre, lean)

    top, bottom = centre - scene.down * height, centre + scene.down * height
    rim = ellipse(scene, top, width, width * 0.22)
    foot = ellipse(scene, bottom, width * taper, width * 0.2 * taper)
    body = np.vstack([rim[:33][::-1], foot[:33]])
    colour = any_colour(scene)
    layer = Layer(surface(scene, colour), np.zeros(scene.size, np.float32))
    if scene.chance.random() < 0.5:
        side = scene.chance.choice([-1, 1])
        loop = ellipse(scene, centre + scene.right * side * width * 0.95, width * 0.55, height * 0.5)
        layer = paint(
            layer, colour * scene.light * 0.85, stroke(scene, placed(np.vstack([loop, loop[:1]])), width * 0.25)
        )
    cover = np.maximum(outline(scene, placed(body)), outline(scene, placed(rim)))
    layer = paint(layer, surface(scene, colour) * rounded(cover, depth=width * 0.7)[..., None], cover)
    band = ellipse(scene, centre, width * (1 + taper) / 2, height * scene.between(0.15, 0.4), power=8)
    layer = paint(layer, any_colour(scene) * scene.light, outline(scene, placed(band)) * cover * scene.between(0.4, 1))
    return paint(layer, colour * scene.light * 0.45, outline(scene, placed(rim * 0.88 + top * 0.12)))


def microphone(scene: Scene) -> Layer:
    """A ball of wire mesh near the mouth on a dark handle."""
    p, size = scene.points, scene.length * scene.between(0.13, 0.2)
    lean = scene.between(-60, 60)
    centre = scene.at(p[14], scene.between(-0.1, 0.1), scene.between(0.0, 0.12))
    near, far = scene.at(centre, along=0.08), scene.at(centre, along=1.2)
    sides = [near - scene.right * size * 0.62, near + scene.right * size * 0.62]
    handle = np.stack([*sides, far + scene.right * size * 0.38, far - scene.right * size * 0.38])
    colour = pick(scene, BLACK, (0.25, 0.25, 0.28), (0.5, 0.45, 0.2))
    cover = outline(scene, turn(handle, centre, lean))
    layer = Layer(surface(scene, colour), np.zeros(scene.size, np.float32))
    layer = paint(layer, surface(scene, colour) * rounded(cover, depth=size * 0.5)[..., None], cover)
    ball = outline(scene, turn(ellipse(scene, centre, size, size * scene.between(1, 1.2)), centre, lean))
    rows, columns = np.mgrid[0 : scene.size[0], 0 : scene.size[1]].astype(np.float32)
    step = max(size * 0.16, 2.5)
    mesh = 0.7 + 0.3 * np.sin((rows + columns) * np.pi / step) * np.sin((rows - columns) * np.pi / step)
    steel = surface(scene, pick(scene, (0.5, 0.5, 0.52), (0.2, 0.2, 0.22), (0.75, 0.74, 0.7)))
    return paint(layer, steel * (mesh * rounded(ball, depth=size * 0.9))[..., None], ball)


def text(scene: Scene) -> Layer:
    """One to four lines of words across the face, sometimes on a plate."""
    p, lines = scene.points, int(scene.chance.integers(1, 5))
    centre = scene.at(p[scene.chance.choice([1, 13, 168, 205, 425])])
    fonts = (
        cv2.FONT_HERSHEY_SIMPLEX,
        cv2.FONT_HERSHEY_DUPLEX,
        cv2.FONT_HERSHEY_TRIPLEX,
        cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
    )
    font, scale = fonts[scene.chance.integers(4)], scene.length * scene.between(0.006, 0.011)
    thick = max(2, round(scale * scene.between(2, 6)))
    letters = np.zeros(scene.size, np.uint8)
    for line in range(lines):
        words = " ".join(scene.chance.choice(WORDS, 2 if lines > 1 else 1))
        (width, height), _ = cv2.getTextSize(words, font, scale, thick)
        corner = centre + np.array([-width / 2, height / 2 + (line - (lines - 1) / 2) * height * 1.6])
        cv2.putText(letters, words, tuple(int(v) for v in corner), font, scale, 255, thick, cv2.LINE_AA)
    lean = cv2.getRotationMatrix2D(tuple(float(v) for v in centre), scene.between(-30, 30), 1)
    cover = cv2.warpAffine(letters, lean, scene.size[::-1]).astype(np.float32) / 255
    layer = Layer(np.zeros_like(scene.image), np.zeros(scene.size, np.float32))
    ink = any_colour(scene)
    if scene.chance.random() < 0.4 and (cover > 0.5).any():
        box = cv2.boxPoints(cv2.minAreaRect(np.argwhere(cover > 0.5)[:, ::-1].astype(np.float32)))
        layer = paint(layer, np.clip(1 - ink, 0, 1), outline(scene, box + (box - box.mean(0)) * 0.15))
    return paint(layer, ink, cover)


def bars(scene: Scene) -> Layer:
    """A bar over eyes, nose or mouth, or a row of thin bars like a fence."""
    p = scene.points
    colour = pick(scene, BLACK, BLACK, WHITE, (0.5, 0.5, 0.5), (0.35, 0.2, 0.1))
    layer = Layer(surface(scene, colour, folds=0.02), np.zeros(scene.size, np.float32))
    if scene.chance.random() < 0.55:
        centre = scene.at(p[scene.chance.choice([168, 1, 13])], along=scene.between(-0.03, 0.03))
        half, lean = scene.length * scene.between(0.07, 0.16), scene.between(-12, 12)
        bar = turn(ellipse(scene, centre, scene.length * scene.between(0.4, 1.0), half, power=60), centre, lean)
        return paint(layer, layer.colour, outline(scene, bar))
    lean, gap = scene.between(0, 180), scene.length * scene.between(0.16, 0.3)
    thick = gap * scene.between(0.25, 0.5)
    far, step = np.array([0, 3 * scene.length]), np.array([gap, 0])
    ends = np.stack([p[1] - far, p[1] + far])
    for index in range(-5, 6):
        line = turn(ends + index * step, p[1], lean)
        layer = paint(layer, layer.colour, stroke(scene, line, thick))
    return layer


def shadow(scene: Scene) -> Layer:
    """A hard or soft shadow, too dark to see through."""
    p, left = scene.points, scene.between(0.02, 0.15)
    if scene.chance.random() < 0.5:
        edge, lean = scene.at(p[1], scene.between(-0.2, 0.2), scene.between(-0.2, 0.2)), scene.between(0, 360)
        far = scene.length * 3
        half = np.array([[-far, 0], [far, 0], [far, far], [-far, far]], np.float32) + edge
        shape = outline(scene, turn(half, edge, lean))
    else:
        shape = _blob(
            scene, scene.at(p[scene.chance.choice([205, 425, 13, 9, 168])]), scene.length * scene.between(0.25, 0.45)
        )
    soft = cv2.GaussianBlur(shape, (0, 0), max(scene.length * scene.between(0.005, 0.04), 0.6))
    tint = np.array([0.9, 0.95, 1.0], np.float32)
    return Layer((scene.image * left * tint).astype(np.float32), soft)


def blur(scene: Scene) -> Layer:
    """A part of the face blurred or turned into coarse blocks."""
    p, (height, width) = scene.points, scene.size
    centre = scene.at(p[scene.chance.choice([1, 13, 168, 33, 263, 205, 425])])
    across, along = scene.length * scene.between(0.2, 0.45), scene.length * scene.between(0.15, 0.35)
    cover = outline(scene, ellipse(scene, centre, across, along, power=scene.chance.choice([2.0, 30.0])))
    if scene.chance.random() < 0.5:
        return Layer(cv2.GaussianBlur(scene.image, (0, 0), scene.length * scene.between(0.05, 0.1)), cover)
    cell = max(4, round(scene.length * scene.between(0.06, 0.13)))
    small = cv2.resize(scene.image, (max(width // cell, 1), max(height // cell, 1)), interpolation=cv2.INTER_AREA)
    return Layer(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), cover)


def shapes(scene: Scene) -> Layer:
    """One to three blobs, polygons or ellipses in flat, speckled or chequered colour."""
    layer = Layer(np.zeros_like(scene.image), np.zeros(scene.size, np.float32))
    for _ in range(int(scene.chance.integers(1, 4))):
        centre = scene.at(
            scene.points[scene.chance.choice([1, 13, 168, 33, 263, 205, 425, 9, 152])], scene.between(-0.1, 0.1)
        )
        size = scene.length * scene.between(0.12, 0.32)
        kind = scene.chance.integers(3)
        if kind == 0:
            cover = _blob(scene, centre, size)
        elif kind == 1:
            angles = np.sort(scene.chance.uniform(0, 2 * np.pi, int(scene.chance.integers(3, 9))))
            reach = size * scene.chance.uniform(0.6, 1.2, len(angles))
            cover = outline(scene, centre + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1))
        else:
            oval = ellipse(scene, centre, size, size * scene.between(0.4, 1), power=scene.between(2, 10))
            cover = outline(scene, turn(oval, centre, scene.between(0, 180)))
        layer = paint(layer, _pattern(scene, size), cover)
    return layer


def _blob(scene: Scene, centre: Floats, size: float) -> Floats:
    """Return the cover of a smooth random shape."""
    angles = np.linspace(0, 2 * np.pi, 9, endpoint=False)
    reach = size * scene.chance.uniform(0.55, 1.2, 9)
    return outline(scene, curve(centre + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1), closed=True))


def _pattern(scene: Scene, size: float) -> Floats:
    """Return flat, speckled or chequered colour (H, W, 3)."""
    first, kind = surface(scene, any_colour(scene)), scene.chance.integers(3)
    if kind == 0:
        return first
    second = surface(scene, any_colour(scene))
    if kind == 1:
        return np.where(noise(scene, cell=max(size * 0.12, 1.5))[..., None] > 0, first, second)
    rows, columns = np.mgrid[0 : scene.size[0], 0 : scene.size[1]]
    cell = max(int(size * scene.between(0.15, 0.4)), 2)
    return np.where(((rows // cell + columns // cell) % 2)[..., None] > 0, first, second)
