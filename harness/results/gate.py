"""The gate of a comparison: how much worse B may be, and what is worse beyond noise. No torch.

Of many rows some differ by chance. So the p-values of all that is judged are raised together, and
two sides that are equal fail as seldom as a single row would.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from harness.core.errors import SpecError, unknown
from harness.results.compare import Change, Comparison, ScoreChange
from harness.results.statistics import POINT, adjusted

Quantity = Literal["score", "time", "memory"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
LEVEL = 0.025
"""One-sided, as a 95 % interval to both sides has it."""
RULE = re.compile(r"(?P<name>[a-z]+)\s*:\s*(?P<sign>[+-])(?P<size>\d+(\.\d+)?)\s*(?P<share>%?)")


@dataclass(frozen=True)
class Allowance:
    """How much worse B may be in one quantity."""

    quantity: Quantity
    size: float
    """A share of A's value, or a difference of scores."""
    share: bool

    def exceeded(self, loss: float, was: float) -> bool:
        """Say whether B is worse by more than this."""
        return loss > self.size * (abs(was) if self.share else 1.0)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of the gate."""

    failed: tuple[str, ...]
    """What is worse in B, a sentence each."""
    unjudged: str = ""
    """Why nothing could be judged."""

    @property
    def code(self) -> int:
        """The exit code: 1 if something is worse, 2 if nothing could be judged, 0 for a pass."""
        return 1 if self.failed else 2 if self.unjudged else 0


def parse_allowances(text: str) -> tuple[Allowance, ...]:
    """Read `score:-1,time:+10%,memory:+5%`: points of a score, or shares of what A had.

    Raises:
        SpecError: The text has another form, or its sign is that of an improvement.
    """
    found: dict[Quantity, Allowance] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = RULE.fullmatch(part)
        if match is None:
            raise SpecError(f"{part!r} is no limit; write one like score:-1 or time:+10%.")
        name = next((known for known in QUANTITIES if known == match["name"]), None)
        if name is None:
            raise unknown("quantity", match["name"], list(QUANTITIES))
        worse = "-" if name == "score" else "+"
        if match["sign"] != worse:
            raise SpecError(f"{part!r} limits what gets better; {name} gets worse with {worse}.")
        share = bool(match["share"])
        if not share and name != "score":
            raise SpecError(f"{part!r} has no unit; write {name}:+{match['size']}%.")
        size = float(match["size"]) * (0.01 if share else POINT)
        found[name] = Allowance(name, size, share)
    if not found:
        raise SpecError("No limit is given; write one like score:-1 or time:+10%.")
    return tuple(found.values())


def gate(comparison: Comparison, allowed: Iterable[Allowance]) -> Verdict:
    """Judge B against A: worse by more than is allowed and beyond noise, or lost."""
    limits = {each.quantity: each for each in allowed}
    judged = [each for change in comparison.changes for each in _judged(change, limits)]
    raised = adjusted([p for p, _, _ in judged])
    worse = [
        sentence
        for (_, exceeded, sentence), p in zip(judged, raised, strict=True)
        if exceeded and p < LEVEL
    ]
    unjudged = "" if judged else f"Nothing could be judged. {comparison.note}".rstrip()
    return Verdict(failed=(*comparison.broken, *worse), unjudged=unjudged)


def _judged(change: Change, limits: dict[Quantity, Allowance]) -> Iterator[tuple[float, bool, str]]:
    """Yield of everything that is limited: its p-value, whether it is exceeded, and a sentence."""
    where = f"{change.model} on {change.task}"
    if change.score is not None and "score" in limits:
        yield _score(change.score, limits["score"], where)
    ratios = (("time", change.seconds), ("memory", change.peak_bytes))
    for name, ratio in ratios:
        if ratio is not None and name in limits:
            said = f"{where}: {'peak ' * (name == 'memory')}{name} grew to {ratio.value:.2f} times"
            interval = "" if ratio.interval is None else " [{:.2f}, {:.2f}]".format(*ratio.interval)
            exceeded = limits[name].exceeded(ratio.value - 1, 1.0)
            yield ratio.p_worse, exceeded, f"{said}{interval} what it was."


def _score(score: ScoreChange, limit: Allowance, where: str) -> tuple[float, bool, str]:
    loss = -score.difference if score.higher_is_better else score.difference
    low, high = score.interval
    sentence = (
        f"{where}: {score.metric} went from {score.mean_a:.4g} to {score.mean_b:.4g}, by "
        f"{score.difference:+.4g} [{low:.4g}, {high:.4g}]."
    )
    return score.p_worse, limit.exceeded(loss, score.mean_a), sentence
