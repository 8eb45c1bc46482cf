"""Fills in what papers claim, and what the published records say of it, in docs/claims.md.

`python -m tools.claims_page` writes between `<!-- claims -->` and what closes it; `--check` writes
nothing and says whether the page is as it should be.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.core.messages import PlanRequest
from harness.core.record import Record
from harness.plugins.cite import bibliography
from harness.results.claims import Claim, PaperClaim, papers
from harness.results.decisions import Question
from harness.results.publish import shipped
from harness.results.store import Store
from harness.runner.claims import claimed
from harness.runner.planning import plan
from harness.runner.sweep import Sweep
from tools.model_pages import filled

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "claims.md"
RECORDS = (ROOT / "results" / "records" / "v1", ROOT / "results" / "claimed" / "v1")
"""What the tables compare, and what was run for claims alone, at sizes of their own."""
VERDICTS = {
    "**Holds": "hold",
    "**Fails": "fail",
    "**Undecided": "undecided",
    "**Cannot": "cannot be tested here",
    "Not run": "not run yet",
}
"""How an answer begins, and what is said of as many claims as have it."""
TITLE = re.compile(r"^\s*title\s*=\s*\{(.*)\},?$", re.MULTILINE)


def main(arguments: Sequence[str]) -> int:
    """Write the page, or with `--check` compare it; 1 if it differs."""
    before = PAGE.read_text(encoding="utf-8")
    after = filled(before, {"claims": claims()})
    if "--check" not in arguments:
        PAGE.write_text(after, encoding="utf-8")
    elif after != before:
        sys.stderr.write("claims.md is not up to date; run python -m tools.claims_page.\n")
        return 1
    return 0


def claims() -> str:
    """Write how many hold, then a heading for each paper, and below it each of its claims."""
    records = [each for folder in RECORDS for each in Store(folder).records()]
    entries = bibliography(ROOT / "baselines") | bibliography(shipped("published"))
    parts = []
    for paper in papers():
        found = TITLE.search(entries[paper.source])
        title = re.sub(r"[{}]", "", found[1]) if found else paper.source
        parts.append(f"### {title}\n")
        parts += [entry(claim, records) for claim in paper.claims]
    text = "\n".join(parts).rstrip()
    return f"{tally(text)}\n\n{text}"


def tally(text: str) -> str:
    """Count the answers of a list of claims."""
    counts = {said: text.count(f"\n- {begins}") for begins, said in VERDICTS.items()}
    counted = ", ".join(f"{count} {said}" for said, count in counts.items())
    return f"{sum(counts.values())} claims: {counted}."


def entry(claim: PaperClaim, records: list[Record]) -> str:
    """Write one claim: what the paper says, the line, and what was seen."""
    held = f", with `{claim.protocol}`" if claim.protocol else ""
    line = f"- Tested by `{claim.claim}`{held}."
    about = f"**{claim.name}** ({claim.where}). {claim.says}"
    return f"{about}\n\n{line}\n- {seen(claim, records)}\n"


def seen(claim: PaperClaim, records: list[Record]) -> str:
    """Say what the published records say of a claim."""
    if claim.untestable:
        return f"**Cannot be tested here**: {claim.untestable}"
    decision = question(claim.parsed).decide(records)
    if decision.difference is None:
        return "Not run here yet."
    answer, _, rest = decision.sentence.partition(": ")
    return f"**{answer}**: {rest}"


def question(claim: Claim) -> Question:
    """Plan the runs of one seed, in this process."""
    sweep = claimed(claim, 1, Sweep(runs=()))
    request = PlanRequest(runs=list(sweep.runs), plugins=[], changes=dict(sweep.changes))
    return Question(claim, tuple(plan(request).runs))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
