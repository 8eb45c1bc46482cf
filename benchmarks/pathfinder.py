"""Pathfinder images: seconds for a few of a size."""

from typing import Any

from benchmarks.benchmark import Benchmark, Case, find


class PathfinderImages(Benchmark):
    """The first images of the seeds 0 on: 128 of 32 pixels, 64 of 128, 32 of 512."""

    version = "3"
    params = ((32, 128, 512), (1, 2))
    compared = "processes"

    def build(self, size: int, processes: int) -> Case:
        images, styles = find("suites", "pool").images, find("suites", "style")
        style = styles.SEGMENTATION[512] if size == 512 else styles.LRA[size]
        seeds = range({32: 128, 128: 64, 512: 32}[size])

        def check(drawn: Any) -> None:
            assert drawn.pixels.shape == (len(seeds), size, size)

        return Case(lambda: images(style, seeds, processes), check=check)

    time_drawing = Benchmark.forward
