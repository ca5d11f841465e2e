"""OpenMoji pictures (CC BY-SA 4.0): which ones, as sprites, and scenes painted with them."""

import io
import re
from collections.abc import Iterable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trace_retriever.errors import DataError
from trace_retriever.openmoji.scenes import Scene

SPRITE_SHARE = 45 / 48  # of a cell's side
LIKENESS_SIDE = 15  # pictures are compared as small as the tiny model sees them
MIN_DISTANCE = 0.2  # root mean square over pixels in [0, 1] below which two pictures are too alike
GRAIN = 0.012  # of the background, standard deviation
MIN_INK = 0.25  # share of a picture's box that must be painted
THINGS = (  # blocks of Unicode that hold plants, food, animals, vehicles and objects, not signs and people
    (0x1F330, 0x1F3BD),
    (0x1F400, 0x1F43D),
    (0x1F4A0, 0x1F4FF),
    (0x1F680, 0x1F6A3),
    (0x1F6D1, 0x1F6FF),
    (0x1F950, 0x1F9AE),
    (0x1F9BA, 0x1F9CA),
    (0x1F9E0, 0x1FAC2),
)


def _codes() -> dict[str, str]:
    """Pictures with a name of one plain word: name → OpenMoji file stem, sorted by name."""
    import emoji

    from trace_retriever.openmoji.source import svg_folder

    folder = svg_folder()
    found = {}
    for character, entry in emoji.EMOJI_DATA.items():
        name = entry["en"].strip(":").lower()
        point = ord(character[0])
        plain = len(character.rstrip("\ufe0f")) == 1 and any(low <= point <= high for low, high in THINGS)
        if plain and re.fullmatch(r"[a-z]{2,12}", name) and (folder / f"{point:04X}.svg").is_file():
            found[name] = f"{point:04X}"
    return dict(sorted(found.items()))


def choose_glyphs(count: int, seed: int, reserved: Iterable[str]) -> dict[str, str]:
    """Choose pictures that a small model can tell apart.

    Goes through all one-word pictures in a seeded order and takes each that is well filled and unlike those
    taken.

    Args:
        count: how many.
        seed: of the order.
        reserved: words that mean something else in the benchmark and may not be names.

    Returns:
        name → code, in the order taken.

    Raises:
        DataError: there are not so many.
    """
    codes = _codes()
    names = [name for name in codes if name not in set(reserved)]
    chosen: dict[str, str] = {}
    seen: list[NDArray[np.float32]] = []
    for number in np.random.default_rng([seed, 0]).permutation(len(names)):
        name = names[int(number)]
        small = sprite(codes[name], LIKENESS_SIDE)
        if small[..., 3].mean() < MIN_INK:
            continue
        shown = small[..., :3] * small[..., 3:] + (1 - small[..., 3:]) * 0.9
        if all(np.sqrt(np.mean((shown - other) ** 2)) >= MIN_DISTANCE for other in seen):
            chosen[name] = codes[name]
            seen.append(shown)
        if len(chosen) == count:
            return chosen
    raise DataError(
        f"only {len(chosen)} pictures are distinct enough, {count} asked for",
        where="prepare.openmoji.pictures",
        remedy=f"ask for at most {len(chosen)}",
    )


@cache
def sprite(code: str, side: int) -> NDArray[np.float32]:
    """A picture cropped to what is painted and scaled to a square: float32 [side, side, RGBA] in [0, 1]."""
    import resvg_py

    from trace_retriever.openmoji.source import svg_folder

    content = resvg_py.svg_to_bytes(
        svg_path=str(svg_folder() / f"{code}.svg"), width=4 * side, height=4 * side
    )
    image = Image.open(io.BytesIO(bytes(content))).convert("RGBA")
    image = image.crop(image.getchannel("A").getbbox()).resize((side, side), Image.Resampling.BOX)
    return np.asarray(image, np.float32) / 255.0


@cache
def _noise(side: int) -> NDArray[np.float32]:
    """A field of grain to cut backgrounds from: float32 [side, side, 3], standard deviation 1."""
    return np.random.default_rng(0).standard_normal((side, side, 3), np.float32)


def paint(scene: Scene, glyphs: dict[str, str], pixels: int, rng: np.random.Generator) -> Image.Image:
    """Paint a scene afresh: a light grainy background, each picture a little off its place, light changing.

    Args:
        scene: what to paint.
        glyphs: name → code.
        pixels: side of the canvas; a cell is a third of it.
        rng: of background, shifts and light.
    """
    cell = pixels // 3
    side = round(cell * SPRITE_SHARE)
    grain = _noise(4 * pixels)
    top, left = rng.integers(0, 3 * pixels, 2)
    tint = rng.uniform(0.86, 0.98, 3).astype(np.float32)
    canvas = tint + GRAIN * grain[top : top + pixels, left : left + pixels]
    for placed in scene.objects:
        glyph = sprite(glyphs[placed.name], side)
        row, column = divmod(placed.cell, 3)
        y, x = row * cell + rng.integers(0, cell - side + 1), column * cell + rng.integers(0, cell - side + 1)
        alpha = glyph[..., 3:]
        area = canvas[y : y + side, x : x + side]
        canvas[y : y + side, x : x + side] = glyph[..., :3] * alpha + area * (1 - alpha)
    canvas *= np.float32(rng.uniform(0.85, 1.05))
    return Image.fromarray((np.clip(canvas, 0, 1) * 255).astype(np.uint8))
