"""Fills in what the README shows of the published scores.

`python -m tools.readme_page` writes between `<!-- table -->` and what closes it; `--check` writes
nothing and says whether the README is as it should be. The report beside the records has every
model; a first page has room for some.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.report.formats import escaped
from tools.model_pages import filled

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "README.md"
REPORT = ROOT / "results" / "tables" / "v1" / "report.md"
SHOWN = ("s4d", "mamba", "mamba2[head_dim=16]", "gated-deltanet", "lstm", "transformer[heads=2]")
"""One of each kind: fixed, selective, with a matrix for a state, with one that is corrected, a
classic recurrence, attention."""
FEWEST = 4
"""Of these that a row must have; others are of one model's options."""
NONE = {"", "—", "*—*"}


def main(arguments: Sequence[str]) -> int:
    """Write the table, or with `--check` compare it; 1 if it differs."""
    before = PAGE.read_text(encoding="utf-8")
    after = filled(before, {"table": table(REPORT.read_text(encoding="utf-8"))})
    if "--check" not in arguments:
        PAGE.write_text(after, encoding="utf-8")
    elif after != before:
        sys.stderr.write("README.md is not up to date; run python -m tools.readme_page.\n")
        return 1
    return 0


def table(report: str) -> str:
    """Return the scores of a report that have most of the models shown, in their columns alone."""
    text = report.partition("### Test scores\n\n")[2].partition("\n\n")[0]
    head, ruler, *rows = (line[2:-2].split(" | ") for line in text.splitlines())
    models = [head.index(escaped(name)) for name in SHOWN]
    columns = [head.index("Task"), head.index("Chance"), *models]
    kept = [row for row in rows if sum(row[place] not in NONE for place in models) >= FEWEST]
    lines = [[row[place] for place in columns] for row in (head, ruler, *kept)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
