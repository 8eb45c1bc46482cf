"""Pathfinder images: seconds for a few of a size."""

from benchmarks.given import Timed, a_commit_that_has_it


class PathfinderImages(Timed):
    """The first images of the seeds 0 on: 50 of 32 pixels, 10 of 128, 4 of 512."""

    version = "1"
    params = ((32, 128, 512),)
    param_names = ("size",)

    def setup(self, size: int) -> None:
        with a_commit_that_has_it():
            from suites._snakes.picture import drawn  # noqa: PLC0415
            from suites._snakes.style import LRA, SEGMENTATION  # noqa: PLC0415
        style = SEGMENTATION[512] if size == 512 else LRA[size]
        seeds = range({32: 50, 128: 10, 512: 4}[size])
        self.draw = lambda: [drawn(style, seed) for seed in seeds]

    def time_drawing(self, size: int) -> None:
        self.draw()
