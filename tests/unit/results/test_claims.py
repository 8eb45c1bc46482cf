"""A claim is one line, and a line that is none is refused in one sentence."""

import pytest

from harness.core.errors import SpecError
from harness.results.claims import paper_claims, papers, parse_claim


def test_a_line_names_two_models_and_a_task():
    claim = parse_claim("mamba > s4d[init=legs, state=16] on retrieval/mqar")

    assert (claim.a, claim.b) == ("mamba", "s4d[init=legs,state=16]")
    assert claim.tasks == ("retrieval/mqar",)
    assert (claim.margin, claim.changes) == (0.0, {})


@pytest.mark.parametrize("relation", ["≈", "~="])
def test_models_may_be_alike_within_points(relation):
    claim = parse_claim(f"s4d {relation} s4 on lra/* within 2 points")

    assert claim.margin == pytest.approx(0.02)
    assert claim.tasks == ("lra/*",)


def test_the_worse_model_may_come_first():
    claim = parse_claim("s4d<mamba on retrieval/mqar")

    assert (claim.a, claim.b) == ("mamba", "s4d")


def test_tasks_are_separated_by_commas_that_stand_in_no_brackets():
    claim = parse_claim("a > b on synthetic/shift[length=32,shifts=4], synthetic/cumsum")

    assert claim.tasks == ("synthetic/shift[length=32,shifts=4]", "synthetic/cumsum")


@pytest.mark.parametrize(
    "order", ["within 1.5 points at steps=50", "at steps=50 within 1.5 points"]
)
def test_the_protocol_may_be_changed_in_the_line(order):
    claim = parse_claim(f"a ≈ b on t {order}")

    assert (claim.margin, claim.changes) == (pytest.approx(0.015), {"steps": 50})


def test_equal_parameters_are_a_matter_of_the_protocol():
    claim = parse_claim("mamba > s4d on retrieval/mqar at params=100k,steps=50")

    assert claim.changes == {"match": "params=100k", "steps": 50}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("mamba on retrieval/mqar", "does not set one model beside another"),
        ("mamba > s4d > s4 on retrieval/mqar", "does not set one model beside another"),
        ("mamba > s4d", "names no task"),
        ("s4 ≈ s4d on lra/*", "does not say how alike"),
        ("s4 ≈ s4d on lra/* within 2 percent", "is no margin"),
        ("s4 ≈ s4d on lra/* within 0 points", "is no margin"),
        ("s4 > s4d on lra/* within 2 points", "for models that are alike"),
        ("a > b on t at steps=5 at width=5", "says 'at' twice"),
        ("a > b on t at stepz=5", "Did you mean 'steps'"),
        ("a > b on t at steps", "is not an option"),
        ("a > b on t at length-64,length-256", "names 2 evaluations"),
        ("a > b on t at params=many", "is no number of parameters"),
        ("a > B on t", "is not a name"),
    ],
)
def test_what_is_no_claim_is_refused(line, complaint):
    with pytest.raises(SpecError, match=complaint):
        parse_claim(line)


def test_the_shipped_claims_have_names_of_their_own():
    every = [claim for paper in papers() for claim in paper.claims]

    assert len(paper_claims()) == len(every) > 10


def test_the_line_of_a_shipped_claim_goes_before_its_protocol(tmp_path):
    (tmp_path / "a.toml").write_text(
        'source = "a"\n[[claims]]\nname = "n"\nclaim = "a > b on t at steps=5"\n'
        'where = "abstract"\nsays = "It is."\nprotocol = "steps=9,batch=2"\n'
    )

    [paper] = papers(tmp_path)

    assert paper.claims[0].parsed.changes == {"steps": 5, "batch": 2}


def test_a_claim_may_be_about_a_further_evaluation():
    claim = parse_claim("lstm > mamba on tracking/parity at length-256,steps=400")

    assert (claim.evaluation, claim.changes) == ("length-256", {"steps": 400})
    assert parse_claim("lstm > mamba on tracking/parity at steps=400").evaluation == ""
