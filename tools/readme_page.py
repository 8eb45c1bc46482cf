"""Fills in what the README shows of the published scores.

`python -m tools.readme_page` writes between `<!-- table -->` and what closes it; `--check` writes
nothing and says whether the README is as it should be. The report beside the records has every
model; a first page has room for some.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from harness.report.formats import markdown
from harness.report.tables import SEEDS, score_table
from harness.results.aggregate import Group, comparable_groups
from harness.results.store import Store
from tools.model_pages import filled

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "README.md"
RECORDS = ROOT / "results" / "records" / "v1"
SHOWN = ("s4d", "dlr", "mamba", "gated-deltanet", "lstm", "transformer[heads=2]")
"""One of each kind: with HiPPO's poles, with free ones, selective, with a matrix for a state, a
classic recurrence, attention."""
FEWEST = 4
"""Of these that a row must have; others are of one model's options."""


def main(arguments: Sequence[str]) -> int:
    """Write the table, or with `--check` compare it; 1 if it differs."""
    before = PAGE.read_text(encoding="utf-8")
    after = filled(before, {"table": table(comparable_groups(Store(RECORDS).records()))})
    if "--check" not in arguments:
        PAGE.write_text(after, encoding="utf-8")
    elif after != before:
        sys.stderr.write("README.md is not up to date; run python -m tools.readme_page.\n")
        return 1
    return 0


def table(groups: Iterable[Group]) -> str:
    """Return the scores of tasks that have most of the models shown, in their columns alone.

    Tasks that none of these answers, by a point more than chance and shortcuts do, are left out,
    and so is what tells a title from one that is not shown. That a score has three seeds goes
    without saying.
    """
    told = chain.from_iterable(group.records for group in groups if _tells(group))
    full = score_table(comparable_groups(told))
    places = [full.columns.index(name) for name in ("Task", "Chance", *SHOWN)]
    chosen = replace(
        full,
        columns=tuple(full.columns[place] for place in places),
        rows=tuple(tuple(row[place] for place in places) for row in full.rows),
        labels=1,
    )
    return markdown(chosen).split("\n\n")[1].replace(f" (n={SEEDS})", "")


def _tells(group: Group) -> bool:
    shown = [cell for cell in group.cells if cell.model in SHOWN]
    return not group.sweep and len(shown) >= FEWEST and any(cell.answers for cell in shown)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
