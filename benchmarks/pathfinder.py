"""Pathfinder images: seconds for a few of a size."""

from benchmarks.given import Timed, a_commit_that_has_it


class PathfinderImages(Timed):
    """The first images of the seeds 0 on: 128 of 32 pixels, 64 of 128, 32 of 512."""

    version = "2"
    params = ((32, 128, 512), (1, 2))
    param_names = ("size", "processes")

    def setup(self, size: int, processes: int) -> None:
        with a_commit_that_has_it():
            from suites._snakes.crew import images  # noqa: PLC0415
            from suites._snakes.style import LRA, SEGMENTATION  # noqa: PLC0415
        style = SEGMENTATION[512] if size == 512 else LRA[size]
        seeds = range({32: 128, 128: 64, 512: 32}[size])
        self.draw = lambda: images(style, seeds, processes)

    def time_drawing(self, size: int, processes: int) -> None:
        self.draw()
