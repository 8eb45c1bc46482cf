"""A folder of many records: how long its readers and a sweep wait for it."""

import atexit
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from itertools import count
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from benchmarks.benchmark import Benchmark, Case, find

PUBLISHED = Path(__file__).parents[1] / "results" / "records" / "v1"
MANY = 1000


class Records(Benchmark):
    """A thousand trainings in one file: one more and a look for it, all as a list, as a table."""

    params = (("one more", "list", "table"),)

    def build(self, wanted: str) -> Case:
        harness, codec = import_module("harness"), find("harness", "codec")
        store_of = find("harness", "publish").Store  # a verb's module is called `store`, too
        known = store_of(PUBLISHED).records()
        first = next(
            each for each in known if each.learned and each.learned.curve and not each.trial
        )
        seeds = count()

        def another() -> Any:
            spec = replace(first.spec, seed=next(seeds))
            return type(first)(
                **{name: getattr(first, name) for name in first.__struct_fields__}
                | {"spec": spec, "run_id": spec.run_id}
            )

        folder = mkdtemp(prefix="ssm-bench-")
        atexit.register(rmtree, folder)
        store = store_of(folder)
        path = store.path(first.spec)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"".join(codec.encode(another()) + b"\n" for _ in range(MANY)))

        def one_more() -> bool:
            record = another()
            store.append(record)
            return store.finished(record, harness.Limits()) is not None

        calls: dict[str, Callable[[], object]] = {
            "one more": one_more,
            "list": lambda: len(store_of(folder).records()) >= MANY,
            "table": lambda: len(harness.read_records(folder)) >= MANY,
        }

        def check(found: object) -> None:
            assert found

        return Case(calls[wanted], check=check)

    time_records = Benchmark.forward
