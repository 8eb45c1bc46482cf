"""Every claim that is shipped can be planned and cited, and its page says what records say."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.plugins.cite import bibliography
from harness.results.claims import PaperClaim, paper_claims, papers
from tools.claims_page import PAGE, question, seen, tally

CLAIMS = paper_claims()


@pytest.mark.parametrize("name", CLAIMS)
def test_models_and_tasks_of_a_claim_are_there(name: str) -> None:
    claim = CLAIMS[name].parsed
    asked = question(claim)
    assert len(asked.models) == 2
    assert len(asked.runs) == 2 * len(asked.tasks) > 0


def test_every_source_of_a_claim_is_in_a_bibliography(root: Path) -> None:
    known = bibliography(root / "baselines") | bibliography(root / "results" / "published")
    assert {paper.source for paper in papers()} <= known.keys()


def test_the_page_of_claims_is_up_to_date(root: Path) -> None:
    command = [sys.executable, "-m", "tools.claims_page", "--check"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_page_counts_every_claim_once_by_its_answer() -> None:
    assert f"\n{len(CLAIMS)} claims: " in PAGE.read_text(encoding="utf-8")
    assert tally("x\n- **Holds**: a.\n\ny\n- Not run here yet.\n\n- **Holds**: b.") == (
        "3 claims: 2 hold, 0 fail, 0 undecided, 0 cannot be tested here, 1 not run yet."
    )


def test_the_readme_says_how_many_claims_hold(root: Path) -> None:
    said = " ".join((root / "README.md").read_text(encoding="utf-8").split())
    page = PAGE.read_text(encoding="utf-8")
    hold, fail, undecided = (page.count(f"\n- **{each}") for each in ("Holds", "Fails", "Undec"))

    assert f"{hold} hold here, {fail} fail, and {undecided} are undecided." in said


def test_the_page_says_what_cannot_be_tested_and_what_was_not_run() -> None:
    claim = PaperClaim(name="n", claim="s4 > s4d on synthetic/shift", where="abstract", says="So.")
    assert seen(claim, []) == "Not run here yet."
