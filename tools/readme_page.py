"""Fills in what the README shows of the published scores.

`python -m tools.readme_page` writes between `<!-- table -->` and what closes it; `--check` writes
nothing and says whether the README is as it should be. The report beside the records has every
model; a first page has room for some.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.report.formats import escaped
from harness.results.statistics import POINT
from tools.model_pages import filled

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "README.md"
REPORT = ROOT / "results" / "tables" / "v1" / "report.md"
SHOWN = ("s4d", "dlr", "mamba", "gated-deltanet", "lstm", "transformer[heads=2]")
"""One of each kind: with HiPPO's poles, with free ones, selective, with a matrix for a state, a
classic recurrence, attention."""
FEWEST = 4
"""Of these that a row must have; others are of one model's options."""
NONE = {"", "—", "*—*"}
SCORE = re.compile(r"-?\d+\.\d+")


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
    """Return the scores of a report that have most of the models shown, in their columns alone.

    Rows that none of these answers, by a point more than chance and shortcuts do, are left out.
    """
    text = report.partition("### Test scores\n\n")[2].partition("\n\n")[0]
    head, ruler, *rows = (line[2:-2].split(" | ") for line in text.splitlines())
    models, chance = [head.index(escaped(name)) for name in SHOWN], head.index("Chance")
    columns = [head.index("Task"), chance, *models]

    def answered(row: Sequence[str]) -> bool:
        scores = [float(SCORE.findall(row[place])[0]) for place in models if row[place] not in NONE]
        ways = map(float, SCORE.findall(row[chance]))
        return len(scores) >= FEWEST and max(scores) >= max(ways) + POINT

    kept = [row for row in rows if answered(row)]
    lines = [[row[place] for place in columns] for row in (head, ruler, *kept)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
