"""How fast Pathfinder images are drawn, by one process: `pytest --benchmark-only tests/perf`."""

from typing import Any

import pytest

from suites._snakes.picture import drawn
from suites._snakes.style import LRA, SEGMENTATION

STYLES = {"32": (LRA[32], 128), "128": (LRA[128], 64), "512": (SEGMENTATION[512], 16)}


@pytest.mark.parametrize("name", STYLES)
def test_images_of_a_size(benchmark: Any, name: str) -> None:
    benchmark.group = f"pathfinder images, {name}"
    style, count = STYLES[name]
    benchmark.extra_info["images"] = count
    images = benchmark.pedantic(lambda: drawn(style, range(count)), rounds=3, warmup_rounds=1)
    assert len(images) == count
    assert all(image.pixels.shape == (style.size, style.size) for image in images)
