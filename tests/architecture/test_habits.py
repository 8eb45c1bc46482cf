"""Habits that keep the house in order: who seeds, reads clocks, prints, and what is public."""

import ast
import re
from functools import cache
from pathlib import Path

import harness
import harness.api

ROOT = Path(__file__).parents[2]
PACKAGES = ("harness", "suites", "baselines")
SOURCES = sorted(
    path
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if "templates" not in path.parts
)
CLOCKS = re.compile(r"\btime\.(time|perf_counter|monotonic|process_time)|\bperf_counter\b|timeit")
PROC = re.compile(r"""["'(/]proc/|getrusage""")


def relative(path: Path) -> str:
    """Name a file as people do."""
    return path.relative_to(ROOT).as_posix()


def those_with(pattern: re.Pattern[str]) -> set[str]:
    """Return the files whose code, not its comments and texts, has a pattern."""
    return {relative(path) for path in SOURCES if pattern.search(code_of(path))}


@cache
def code_of(path: Path) -> str:
    """Return a file's code without comments and docstrings."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant(0)
    return ast.unparse(tree)


def test_there_are_sources_to_look_at() -> None:
    assert {"harness/core/config.py", "suites/synthetic/shift.py"} <= set(map(relative, SOURCES))


def test_nothing_is_called_utils() -> None:
    assert not [relative(path) for path in SOURCES if "util" in path.stem or path.stem == "helpers"]


def test_only_seeding_seeds() -> None:
    seeds = re.compile(r"manual_seed|\brandom\.seed\(|set_rng_state|\.seed\(")
    assert those_with(seeds) == {"harness/core/seeding.py"}


def test_only_measure_reads_clocks() -> None:
    assert {path for path in those_with(CLOCKS) if not path.startswith("harness/measure/")} == set()


def test_only_measure_reads_proc() -> None:
    assert {path for path in those_with(PROC) if not path.startswith("harness/measure/")} == set()


def test_every_child_of_the_harness_starts_with_a_safe_path() -> None:
    """`machine.python` is what says how; the present folder would come before what is installed."""
    starts = {path for path in those_with(re.compile(r"sys\.executable")) if "harness/" in path}
    assert starts == {"harness/measure/machine.py"}


def test_only_the_command_line_prints_and_exits() -> None:
    edge = re.compile(r"(?<![.\w])print\(|\bsys\.exit\(|typer\.(echo|Exit)")
    # `python -m harness.testing` is a command line of its own, for a child of ours.
    allowed = ("harness/cli/", "harness/testing/__main__.py")
    assert [path for path in those_with(edge) if not path.startswith(allowed)] == []


def test_nothing_keeps_words_for_whatever_comes() -> None:
    """`**kwargs` swallows misspelt options."""
    sinks = {
        f"{relative(path)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.args.kwarg and node.args.kwarg.arg == "kwargs"
    }
    assert sinks == set()


def test_the_sources_are_python_3_11() -> None:
    for path in SOURCES:
        ast.parse(path.read_text(), feature_version=(3, 11))


def test_the_public_names_of_the_harness_are_these() -> None:
    assert (
        sorted(harness.__all__)
        == harness.__all__
        == [
            "Limits",
            "Protocol",
            "RunSpec",
            "Selector",
            "load_model",
            "load_task",
            "load_trained",
            "read_records",
            "run",
        ]
    )
    assert all(callable(getattr(harness, name)) for name in harness.__all__)
    golden = (Path(__file__).parent / "public_names.txt").read_text().split()
    assert sorted(harness.api.__all__) == golden
    assert all(hasattr(harness.api, name) for name in golden)
