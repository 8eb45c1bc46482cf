"""Synthetic words: seconds for 100, from text to clips of one second at 16 kHz."""

from benchmarks.given import Timed, a_commit_that_has_it


class SpokenWords(Timed):
    """100 of the 35 words by the voices of the test split."""

    version = "1"

    def setup(self) -> None:
        with a_commit_that_has_it():
            import espeakng_loader  # noqa: F401, PLC0415 - an extra that may not be installed
            import torch  # noqa: PLC0415

            from harness.core.seeding import stream  # noqa: PLC0415
            from suites.speech._clips import WORDS  # noqa: PLC0415
            from suites.speech._voices import recorded  # noqa: PLC0415
        labels = torch.arange(100) % len(WORDS)
        self.record = lambda: recorded(labels, WORDS, "test", stream("asv"))

    def time_speaking(self) -> None:
        self.record()
