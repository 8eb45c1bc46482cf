"""Claims of one line, such as `mamba > s4d on retrieval/mqar`: our users', and papers'. No torch.

What the papers say that this project comes from stands in `claims/`, a file a paper.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from harness.core.config import Option, Protocol, Selector, parse_options
from harness.core.errors import SpecError, brief, quoted
from harness.core.grid import settled
from harness.results.publish import shipped
from harness.results.statistics import POINT

MATCHED = ("params", "parameters")
"""What `at` may hold equal by choosing widths: the protocol's field `match`."""
RELATION = re.compile(r"\s*(>|<|≈|~=)\s*")
SPACED = re.compile(r"\s+(on|within|at)\s+")
COMMA = re.compile(r"\s*,\s*(?![^\[]*\])")
"""A comma that is not within brackets."""
MARGIN = re.compile(r"(\d+(?:\.\d+)?)\s*points?")
FORM = "write it like 'mamba > s4d on retrieval/mqar'"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """That A scores better than B, or as well as B."""

    text: str
    """As it was written."""
    a: Selector
    b: Selector
    margin: float = 0.0
    """By how much A and B may differ if they are to be alike; 0 if A is to be better."""
    tasks: tuple[str, ...]
    """Names, folders or `folder/*`."""
    evaluation: str = ""
    """Which of the tasks' further evaluations has the scores; empty for the test split."""
    changes: Mapping[str, Option] = field(default_factory=dict)
    """What is changed in the protocol of each task."""

    def over(self, changes: Mapping[str, Option]) -> "Claim":
        """Return the claim under another protocol."""
        return replace(self, changes={**self.changes, **changes})


def parse_claim(text: str) -> Claim:
    """Read `A > B on TASKS`, `A ≈ B on TASKS within N points`, each with `at FIELD=VALUE,...`.

    `~=` stands for `≈`, and `A < B` says that B is better. Several tasks are separated by commas;
    `at params=100k` has widths chosen so that A and B have as many parameters, and `at length-256`
    is about the further evaluation of that name.

    Raises:
        SpecError: The text has another form.
    """
    head, *rest = SPACED.split(text.strip())
    sides = RELATION.split(head)
    parts = dict(zip(rest[::2], rest[1::2], strict=True))
    if len(sides) != 3:
        raise SpecError(f"{quoted(text)} does not set one model beside another; {FORM}.")
    if 2 * len(parts) != len(rest):
        raise SpecError(f"{quoted(text)} says {_twice(rest[::2])!r} twice; {FORM}.")
    if "on" not in parts:
        raise SpecError(f"{quoted(text)} names no task; {FORM}.")
    at = [part.strip() for part in COMMA.split(parts.get("at", ""))]
    named = [part for part in at if part and "=" not in part and not hasattr(Protocol, part)]
    if len(named) > 1:
        raise SpecError(f"{quoted(text)} names {len(named)} evaluations; a claim is about one.")
    a, relation, b = sides
    if relation == "<":
        a, b = b, a
    return Claim(
        text=text.strip(),
        a=Selector(a),
        b=Selector(b),
        margin=_margin(text, relation, parts.get("within")),
        tasks=tuple(filter(None, COMMA.split(parts["on"]))),
        evaluation="".join(named),
        changes=protocol_changes(",".join(part for part in at if part not in named)),
    )


def protocol_changes(text: str) -> dict[str, Option]:
    """Read what a claim changes in a protocol, such as `params=100k,steps=500`.

    Raises:
        SpecError: The text has another form, or a protocol has no such field.
    """
    changes = parse_options(text)
    for name in MATCHED:
        if name in changes:
            changes["match"] = f"params={changes.pop(name)}"
    settled(Protocol().changed(changes))
    return changes


def _margin(text: str, relation: str, within: str | None) -> float:
    alike = relation in {"≈", "~="}
    if alike and within is None:
        raise SpecError(
            f"{quoted(text)} does not say how alike; end it with, say, 'within 2 points'."
        )
    if within is None:
        return 0.0
    if not alike:
        raise SpecError(f"'within' is for models that are alike, A ≈ B, not for A {relation} B.")
    found = MARGIN.fullmatch(within.strip())
    if found is None or not float(found[1]):
        raise SpecError(f"{quoted(within)} is no margin; write it like 'within 2 points'.")
    return float(found[1]) * POINT


def _twice(words: Sequence[str]) -> str:
    return next(word for word in words if words.count(word) > 1)


class PaperClaim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a paper says, and the line by which it is tested here."""

    name: str
    claim: str
    """The line, at sizes that a CPU can do."""
    where: str
    """The place in the paper."""
    says: str
    """The paper's claim, in our words."""
    protocol: str = ""
    """What is changed in the protocols of the tasks: `steps=250,batch=16`."""
    untestable: str = ""
    """Why it cannot be tested here; empty if it can."""

    @property
    def parsed(self) -> Claim:
        """The line under the protocol."""
        line = parse_claim(self.claim)
        return line.over({**protocol_changes(self.protocol), **line.changes})


class Paper(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of `claims/`."""

    source: str
    """Key of a BibTeX entry."""
    claims: list[PaperClaim]


def papers(folder: Path | None = None) -> list[Paper]:
    """Read what papers claim, in the order of the files' names.

    Args:
        folder: Of TOML files; None for those that the project ships.

    Raises:
        SpecError: A file is none of claims; the sentence names it.
    """
    return [_paper(path) for path in sorted((folder or shipped("claims")).glob("*.toml"))]


def _paper(path: Path) -> Paper:
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Paper)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path} is no file of claims: {brief(error)}.") from error


def paper_claims() -> dict[str, PaperClaim]:
    """Return every claim that the project ships, by its name."""
    return {claim.name: claim for paper in papers() for claim in paper.claims}
