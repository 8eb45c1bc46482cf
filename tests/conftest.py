"""What all tests share: few threads, deterministic hypothesis, no cache of the user's touched."""

import os

# Before torch loads: two processes of tests on two cores must not fight over them.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator
from pathlib import Path

# Before Triton loads: without a GPU its kernels are interpreted.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")

import hypothesis
import jaxtyping
import pytest

from tests.served import Site, served

# Few examples, always the same ones: a test fails for a change, not for the day.
hypothesis.settings.register_profile(
    "ours", max_examples=25, deadline=None, derandomize=True, database=None
)
hypothesis.settings.register_profile("thorough", max_examples=500, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ours"))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Time benchmarks only where asked to, and then without the checks of shapes.

    `--benchmark-disable` cannot stand in the project's options, since pytest-benchmark refuses it
    beside `--benchmark-only`.
    """
    timing = config.getoption("benchmark_only") or config.getoption("benchmark_enable")
    if timing:
        jaxtyping.config.update("jaxtyping_disable", True)
    else:
        config.option.benchmark_disable = True


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the repository."""
    return Path(__file__).parents[1]


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what tests download out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSM_BENCH_DATA", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Serve files on 127.0.0.1, and let data go to a folder of the test's own.

    `site.put(name, content)` serves a file and returns its `RemoteFile`.
    """
    monkeypatch.setenv("SSM_BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("SSM_BENCH_MIRROR", raising=False)
    with served() as site:
        yield site
