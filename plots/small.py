"""Small copies of figures, for pages that are kept with the code."""

from pathlib import Path

from PIL import Image

COLOURS = 32
"""A figure has a dozen, and their shades at the edges of lines and letters."""


def write_small(source: Path, target: Path) -> None:
    """Write a PNG again with few colours: a quarter of the bytes at the same size. Raises OSError."""
    with Image.open(source) as image:
        image.convert("RGB").quantize(COLOURS).save(target, format="PNG", optimize=True)
