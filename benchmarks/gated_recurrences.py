"""Gated recurrences: elementwise, with scalar decays a head, and with a decay a row."""

from benchmarks.given import Timed, a_commit_that_has_it


class GatedRecurrence(Timed):
    """One training step's worth of each operator at width 128: forward and gradient."""

    version = "1"
    params = (["gated_scan", "ssd", "gla"], [1024, 16_384])
    param_names = ("operator", "length")

    def setup(self, operator: str, length: int) -> None:
        with a_commit_that_has_it():
            import torch  # noqa: PLC0415

            from baselines.ops.gated_scan import gated_scan  # noqa: PLC0415
            from baselines.ops.gla import gla  # noqa: PLC0415
            from baselines.ops.ssd import ssd  # noqa: PLC0415
            from harness.core.seeding import stream  # noqa: PLC0415
        self.form = {"gated_scan": gated_scan, "ssd": ssd, "gla": gla}[operator]
        shapes = {
            "gated_scan": [(length, 128), (length, 128), (128,)],
            "ssd": [(length, 4, 64), (length, 4), (length, 4), *[(length, 1, 64)] * 2, (4, 64, 64)],
            "gla": [*[(length, 16, 8)] * 4, (16, 8, 8)],
        }[operator]
        rng = stream("benchmarks")
        self.inputs = [torch.rand(1, *shape, generator=rng) for shape in shapes]
        if operator == "ssd":
            self.inputs[2].neg_()  # logarithms of decays
        for part in self.inputs:
            part.requires_grad_()

    def time_gated_recurrence(self, operator: str, length: int) -> None:
        self.form(*self.inputs)[0].sum().backward()
