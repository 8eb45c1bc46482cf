"""The styles that images of the tests have."""

from functools import cache

from suites._pathfinder.image import Picture, pictures
from suites._pathfinder.style import LRA, SEGMENTATION

STYLES = {f"lra-{size}": style for size, style in LRA.items()} | {
    f"segmentation-{size}": style for size, style in SEGMENTATION.items()
}
FAST = {"lra-32": 60, "lra-256": 4, "segmentation-512": 2}
"""Styles, and how many images of each, that take little time."""


@cache
def some(name: str) -> list[Picture]:
    """Draw the first images of a style, once."""
    return pictures(STYLES[name], range(FAST[name]))
