"""Synthetic words: seconds for 100, from text to clips of one second at 16 kHz."""

from importlib.util import find_spec

from benchmarks.benchmark import Benchmark, Case, UnavailableError, find


class SpokenWords(Benchmark):
    """100 of the 35 words by the voices of the test split."""

    def build(self) -> Case:
        import torch

        if not find_spec("espeakng_loader"):
            raise UnavailableError("The extra `speech` is not installed.")
        clips, stream = find("suites", "_clips"), find("harness", "seeding").stream
        recorded = find("suites", "_voices").recorded
        labels = torch.arange(100) % len(clips.WORDS)

        def check(spoken: torch.Tensor) -> None:
            assert spoken.shape == (100, clips.SAMPLES)
            assert spoken.dtype == torch.int16

        return Case(lambda: recorded(labels, clips.WORDS, "test", stream("asv")), check=check)

    time_speaking = Benchmark.forward
