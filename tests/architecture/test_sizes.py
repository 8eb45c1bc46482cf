"""Budgets that keep the house small: over a package, so that nobody cuts an idea to save a line."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("harness", "suites", "baselines")
MEDIAN_FILE = (70, 130)
P90_FILE, LONGEST_FILE = 220, 400
P90_FUNCTION, LONGEST_FUNCTION, LONGEST_KERNEL = 25, 60, 80
Function = ast.FunctionDef | ast.AsyncFunctionDef


def trees(package: Path) -> dict[str, tuple[int, ast.Module]]:
    """Return lines and syntax of each file by its path; a docstring alone marks a folder."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        text = path.read_text()
        tree = ast.parse(text)
        if len(tree.body) > (ast.get_docstring(tree) is not None):
            found[path.relative_to(package.parent).as_posix()] = (text.count("\n"), tree)
    return found


def functions(path: str, tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Return the functions of a file by where they stand."""
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield f"{path}:{node.lineno} {node.name}", node


def is_kernel(function: Function) -> bool:
    """Say whether a function is for a GPU, in which nothing can be handed on but numbers.

    So one that shares much is long, and so is its file, which is none of the tenth that may be.
    """
    decorators = {each.id for each in function.decorator_list if isinstance(each, ast.Name)}
    return "no_type_check" in decorators


def bare(function: Function) -> list[str]:
    """Return what a function leaves without a type: its parameters' names, `return`.

    Kernels are in a language of their own, which has none.
    """
    if is_kernel(function):
        return []
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    named += [rest for rest in (arguments.vararg, arguments.kwarg) if rest]
    untyped = [each.arg for each in named if each.annotation is None]
    own = {"self", "cls"} if not function.decorator_list else {"self", "cls", "_ctx", "ctx"}
    return [n for n in untyped if n not in own] + ["return"] * (function.returns is None)


def tenth_longest(sizes: Sequence[int]) -> int:
    """Return the size that nine tenths do not exceed."""
    return sorted(sizes)[round(0.9 * (len(sizes) - 1))]


def complaints(package: Path) -> list[str]:
    """Return in a sentence each budget that a package exceeds."""
    found = []
    parsed = trees(package)
    files = {path: lines for path, (lines, _) in parsed.items()}
    everything = [each for path, (_, tree) in parsed.items() for each in functions(path, tree)]
    spans, kernels = (
        {
            where: node.end_lineno - node.lineno + 1
            for where, node in everything
            if is_kernel(node) is kernel
        }
        for kernel in (False, True)
    )
    of_kernels = {where.partition(":")[0] for where in kernels}
    usual = {path: lines for path, lines in files.items() if path not in of_kernels}
    typical = median(usual.values())
    if not MEDIAN_FILE[0] <= typical <= MEDIAN_FILE[1]:
        found.append(f"The median file has {typical:g} lines, not {MEDIAN_FILE}.")
    for what, sizes, counted, most, longest in (
        ("files", files, usual, P90_FILE, LONGEST_FILE),
        ("functions", spans, spans, P90_FUNCTION, LONGEST_FUNCTION),
    ):
        if tenth_longest([*counted.values()]) > most:
            found.append(f"A tenth of the {what} have more than {most} lines.")
        found += [f"{name} has {n} lines of {longest}." for name, n in sizes.items() if n > longest]
    found += [
        f"{name} has {n} lines of {LONGEST_KERNEL}."
        for name, n in kernels.items()
        if n > LONGEST_KERNEL
    ]
    found += [
        f"{where} has no type: {lacks}." for where, node in everything if (lacks := bare(node))
    ]
    return found


def function(lines: int) -> str:
    """Write a function of so many lines."""
    return "def grown(x: int) -> int:\n" + "    x += 1\n" * (lines - 2) + "    return x\n"


def with_file(folder: Path, name: str, text: str) -> Path:
    """Write a package of ten usual files and of one more."""
    package = folder / "package"
    package.mkdir()
    for number in range(10):
        (package / f"usual_{number}.py").write_text(function(20) * 5)
    (package / "__init__.py").write_text('"""A docstring alone is no file that counts."""\n')
    (package / name).write_text(text)
    return package


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_keeps_its_budgets(package: str) -> None:
    assert complaints(ROOT / package) == []


def test_a_usual_package_has_no_complaints(tmp_path: Path) -> None:
    assert complaints(with_file(tmp_path, "more.py", function(20) * 5)) == []


def test_a_kernel_has_no_types_and_may_be_longer(tmp_path: Path) -> None:
    text = "@no_type_check\n" + function(80).replace("x: int", "x").replace(" -> int", "")
    assert complaints(with_file(tmp_path, "more.py", text)) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (function(20) * 21, "package/odd.py has 420 lines of 400."),
        (function(61), "grown has 61 lines of 60."),
        ("@no_type_check\n" + function(81), "grown has 81 lines of 80."),
        ("import os\ndef f(self, a, *, b: int): ...\n", "f has no type: ['a', 'return']."),
    ],
    ids=["long file", "long function", "long kernel", "no types"],
)
def test_what_exceeds_a_budget_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    [found] = complaints(with_file(tmp_path, "odd.py", text))
    assert sentence in found


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (60, "The median file has 60 lines, not (70, 130)."),
        (140, "The median file has 140 lines, not (70, 130)."),
    ],
)
def test_a_package_of_scraps_or_of_tomes_is_found(
    tmp_path: Path, lines: int, sentence: str
) -> None:
    package = with_file(tmp_path, "more.py", "")
    for number in range(10):
        (package / f"usual_{number}.py").write_text(function(20) * (lines // 20))
    assert complaints(package) == [sentence]


def test_a_package_with_many_long_files_or_functions_is_found(tmp_path: Path) -> None:
    package = with_file(tmp_path, "more.py", function(20) * 12)
    (package / "usual_0.py").write_text(function(20) * 12)
    for number in range(1, 4):
        (package / f"usual_{number}.py").write_text(function(26) * 4)
    assert complaints(package) == [
        "A tenth of the files have more than 220 lines.",
        "A tenth of the functions have more than 25 lines.",
    ]


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("def f({}): ...\n".format(", ".join("abcdefg")), "PLR0913"),
        ("def f(x):\n" + "".join(f"    if x == {n}: return\n" for n in range(8)), "C901"),
    ],
    ids=["seven arguments", "nine ways through"],
)
def test_ruff_finds_what_is_too_intricate(tmp_path: Path, code: str, rule: str) -> None:
    (tmp_path / "within.py").write_text(
        code.replace(", g", "").replace("    if x == 0: return\n", "")
    )
    (tmp_path / "beyond.py").write_text(code)
    words = ["check", "--no-cache", "--output-format", "concise", "--select", rule]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *words, "--config", ROOT / "pyproject.toml", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    [found] = [line for line in done.stdout.splitlines() if rule in line]
    assert "beyond.py" in found
