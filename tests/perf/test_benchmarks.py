"""How fast everything is that `benchmarks` declares: `pytest --benchmark-only tests/perf`.

Each also gives what is known of it beforehand; the ordinary tests see that, once each.
"""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import pytest

import benchmarks
from benchmarks.benchmark import Benchmark, UnavailableError
from harness.measure.clock import sample


def settings() -> Iterator[Any]:
    """Return every benchmark with a method and the values that it is timed with."""
    for module in iter_modules(benchmarks.__path__, "benchmarks."):
        import_module(module.name)
    for owner in Benchmark.__subclasses__():
        for method, values in owner.settings():
            name = "-".join(map(str, (owner.__name__, method.removeprefix("time_"), *values)))
            yield pytest.param(owner(), method, values, id=name)


@pytest.mark.parametrize(("owner", "method", "values"), list(settings()))
def test_what_is_timed_gives_what_it_should(
    benchmark: Any, owner: Benchmark, method: str, values: tuple[Any, ...]
) -> None:
    named = zip(owner.param_names, values, strict=False)
    same = [str(value) for name, value in named if name != owner.compared]
    benchmark.group = ", ".join([method.removeprefix("time_").replace("_", " "), *same])
    call, rounds = getattr(owner, method), 1
    try:
        owner.case = owner.build(*values)
    except UnavailableError as error:
        pytest.skip(str(error))
    if not benchmark.disabled:
        fewest, most, seconds = owner.repeat
        (warm,) = sample(call, settle_s=0, budget_s=0)
        rounds = min(most, max(fewest, int(seconds / warm.seconds[0])))
    owner.case.check(benchmark.pedantic(call, rounds=rounds))
