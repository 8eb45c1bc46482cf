"""What is timed keeps its memory, as runs do; ordinary tests share their process with others."""

import pytest

from benchmarks.benchmark import keep_memory


@pytest.fixture(scope="session", autouse=True)
def memory_is_kept(pytestconfig: pytest.Config) -> None:
    """Keep what is freed, in a process that only times."""
    if pytestconfig.getoption("benchmark_only"):
        keep_memory()
