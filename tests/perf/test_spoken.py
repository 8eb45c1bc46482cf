"""How fast synthetic words are spoken: `pytest --benchmark-only tests/perf`."""

from typing import Any

import pytest
import torch

from harness.core.seeding import stream
from suites.speech._clips import SAMPLES, WORDS
from suites.speech._voices import recorded

pytest.importorskip("espeakng_loader")


def test_words_of_the_test_voices(benchmark: Any) -> None:
    benchmark.group = "spoken words, 100"
    labels = torch.arange(100) % len(WORDS)
    clips = benchmark.pedantic(
        lambda: recorded(labels, WORDS, "test", stream("perf")), rounds=3, warmup_rounds=1
    )
    assert clips.shape == (100, SAMPLES)
    assert clips.dtype == torch.int16
