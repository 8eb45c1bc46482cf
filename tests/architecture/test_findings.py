"""What the page of findings says is what published records say."""

import re
from pathlib import Path

import pytest

from harness.results.claims import papers

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "findings.md"
MEAN = re.compile(r"-?\d+\.\d+ ± \d+\.\d+")
OTHER = re.compile(r"(?<![+\-\d.])\d\.\d+ \[-?\d\.\d+, \d\.\d+\]|\d+,\d{3} to \d+,\d{3}")
"""An agreement of rankings, or between which lengths two models cross."""
DIFFERENCE = re.compile(r"[+-]\d\.\d+ \[[+-]\d\.\d+, [+-]\d\.\d+\]")
COMMAND = re.compile(r"ssm-bench claim ([a-z\d-]+)")
PICTURE = re.compile(r'<img src="\.\./([^"]+)" alt="([^"]+)"')


@pytest.fixture(scope="module")
def page() -> str:
    """The page in one line, whose numbers may stand where a line breaks."""
    return re.sub(r"\s+", " ", PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("pattern", "fewest"), [(MEAN, 6), (OTHER, 4)], ids=["mean", "other"])
def test_every_mean_and_every_other_interval_is_one_of_the_published_tables(
    page: str, pattern: re.Pattern[str], fewest: int
) -> None:
    report = (ROOT / "results" / "tables" / "v1" / "report.md").read_text(encoding="utf-8")
    found = pattern.findall(page)

    assert len(found) >= fewest
    assert [number for number in found if number not in report.replace("\\", "")] == []


def test_every_difference_is_one_of_a_claim(page: str) -> None:
    claims = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    found = DIFFERENCE.findall(page)

    assert len(found) > 5
    assert [difference for difference in found if difference not in claims] == []


def test_every_claim_that_is_to_be_run_has_its_name(page: str) -> None:
    known = {claim.name for paper in papers() for claim in paper.claims}

    assert COMMAND.findall(page)
    assert set(COMMAND.findall(page)) <= known


def test_every_finding_has_a_command_or_a_picture_and_says_what_it_does_not_show(page: str) -> None:
    findings = re.split(r"(?=## \d+\. )", page)[1:]

    assert len(findings) == 10
    for finding in findings:
        assert "**What it does not show.**" in finding
        assert "```console" in finding or "<img" in finding, finding[:60]


def test_every_picture_is_there_and_is_described(page: str) -> None:
    found = PICTURE.findall(page)

    assert found
    assert [path for path, _ in found if not (ROOT / path).is_file()] == []
