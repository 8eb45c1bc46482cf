"""What papers printed: scores and costs, a row each, with where it was read. No torch.

A source has a file of scores in `results/published/`, and one below it for seconds, steps and bytes
where it prints such. `docs/published.md` says what stands in a column and how a row is added.
"""

import csv
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
import scipy

from harness.core import codec
from harness.core.config import Selector
from harness.core.errors import SpecError, brief, unknown
from harness.results.publish import shipped
from harness.results.statistics import Interval

SHARES = ("percent", "fraction")
"""Units of scores that are shares of something; ours are fractions."""
AVERAGING = re.compile(r"over \d+( columns)?(, failed (as \d+|left out))?")
"""Over how many tasks an average is, and what a failed one counts."""
Provenance = Literal[
    "paper", "submission", "table image", "repository", "pull request", "second-hand"
]


class Printed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What scores and costs have in common. Empty cells are left out."""

    paper_model: str
    """As the source calls it."""
    model: Selector | None = None
    """Ours, with the options that the source states; None if we have none."""
    variant: str = ""
    """What else the source says of the model or of the run, in its words."""
    paper_task: str = ""
    task: Selector | None = None
    """Ours; options that do not stand here have their defaults."""
    source: str
    """Key of a BibTeX entry."""
    table: str
    provenance: Provenance
    """Where it was read: the paper itself, a picture of its table, ...; second-hand: the source
    quotes it from another."""
    read_in: str
    """The file that was opened."""

    @property
    def title(self) -> str:
        """The task as we call it, else as the source does."""
        return str(self.task or self.paper_task)

    @property
    def cited(self) -> str:
        """The source and the place in it; said first if it quotes another."""
        mark = "second-hand: " if self.provenance == "second-hand" else ""
        return f"{mark}{self.source}, {self.table}" + ("" if mark else f" ({self.provenance})")


class Cost(Printed, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Time, speed or memory that a source prints."""

    implementation: str = ""
    setting: str = ""
    """Sizes, as the source has them."""
    mode: Literal[
        "forward", "backward", "forward and backward", "training", "whole training", "generation"
    ]
    device: str
    value: float
    unit: str


class Figure(Printed, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A score that a source prints."""

    evaluation: str = ""
    """Which of the task's further evaluations; empty for the test split."""
    value: float | Literal["failed"]
    spread: float | None = None
    """What stands behind the ±."""
    spread_kind: Literal["", "standard error", "standard deviation"] = ""
    """Empty if the source does not say."""
    runs: int | None = None
    unit: str
    metric: Literal["accuracy", "macro accuracy", "scaled accuracy", "contains label", "f1", "rmse"]
    averaging: str = ""
    """The convention of an average over tasks; empty for a single task."""
    examples: int | None = None
    """Examples that were trained on, repeated ones too, where anybody states them."""
    examples_from: str = ""
    """Who does."""
    differs: str = ""
    """In what the source's data, model or training are not what `task` and `model` say."""

    def __post_init__(self) -> None:
        if not isinstance(self.value, str) and not math.isfinite(self.value):
            raise ValueError("`value` is no number")
        if self.averaging and (self.task or not AVERAGING.fullmatch(self.averaging)):
            raise ValueError("`averaging` is of no task and reads like 'over 6, failed as 50'")
        if self.spread_kind and not (self.spread is not None and self.runs and self.runs > 1):
            raise ValueError("`spread_kind` asks for a `spread` over two `runs` or more")
        if (self.examples is None) == bool(self.examples_from):
            raise ValueError("`examples` and `examples_from` stand together")

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger score is the better one."""
        return self.metric != "rmse"

    @property
    def score(self) -> float | None:
        """The value in our unit: shares are fractions; None if it failed."""
        return None if isinstance(self.value, str) else self._ours(self.value)

    @property
    def interval(self) -> Interval | None:
        """The spread in our unit: a 95 % interval where its kind is known, else as printed."""
        if self.score is None or self.spread is None:
            return None
        half = self._ours(self.spread)
        if self.spread_kind and self.runs:
            half *= float(scipy.special.stdtrit(self.runs - 1, 0.975))
            half /= self.runs**0.5 if self.spread_kind == "standard deviation" else 1.0
        return self.score - half, self.score + half

    def _ours(self, value: float) -> float:
        return value / 100 if self.unit == "percent" else value


P = TypeVar("P", bound=Printed)


def published_figures(folder: Path | None = None) -> list[Figure]:
    """Read every published score.

    Raises:
        SpecError: A row is not of the schema; the sentence names file and line.
    """
    return _read(folder or shipped("published"), Figure)


def published_costs(folder: Path | None = None) -> list[Cost]:
    """Read every published cost.

    Raises:
        SpecError: A row is not of the schema; the sentence names file and line.
    """
    return _read((folder or shipped("published")) / "costs", Cost)


def chosen(
    rows: Iterable[P], task: str, models: Sequence[str], known: Iterable[Printed]
) -> list[P]:
    """Keep the rows of a task, of a folder of tasks or of a source's task, and of some models.

    Args:
        rows: What is chosen from.
        task: Such as `lra/text`, `lra`, or a name in a paper.
        models: Ours or papers'; none for all.
        known: All that there is, to name what is near a name that nobody has.

    Raises:
        SpecError: Nothing has one of the names.
    """
    everything = list(known)
    wanted = task.removesuffix("/*").rstrip("/").lower()
    if not any(_is_of(row, wanted) for row in everything):
        raise unknown("task with published figures", task, sorted({*_tasks(everything)}))
    names = [model.lower() for model in models]
    for name in names:
        if not any(name in _models(row) for row in everything):
            every = {each for row in everything for each in _models(row)}
            raise unknown("model with published figures", name, sorted(every))
    return [row for row in rows if _is_of(row, wanted) and (not names or _models(row) & {*names})]


def _read(folder: Path, kind: type[P]) -> list[P]:
    return [row for path in sorted(folder.glob("*.csv")) for row in _rows(path, kind)]


def _rows(path: Path, kind: type[P]) -> Iterator[P]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, restkey="(cells beyond the last column)")
        try:
            for cells in reader:
                yield codec.convert({k: v for k, v in cells.items() if v}, kind, strict=False)
        except (ValueError, csv.Error) as error:  # msgspec's and of letters too
            raise SpecError(
                f"{path}, line {reader.line_num}: {brief(error)}; "
                "docs/published.md says what stands in each column."
            ) from error


def _is_of(row: Printed, wanted: str) -> bool:
    names = [row.paper_task.lower(), *([row.task.name, row.task.lower()] if row.task else [])]
    return any(name == wanted or name.startswith((f"{wanted}/", f"{wanted} ")) for name in names)


def _tasks(rows: Iterable[Printed]) -> Iterator[str]:
    for row in rows:
        name = row.task.name if row.task else row.paper_task
        yield from filter(None, (name, name.rpartition("/")[0]))


def _models(row: Printed) -> set[str]:
    ours = {row.model.name, row.model.lower()} if row.model else set()
    return {row.paper_model.lower(), *ours}
