"""Compares two trained models example by example, where both records keep what each got wrong.

The test examples are the same for every model, so a pair of runs tells far more than two scores do:
which examples only one of them gets right. What that says, it says of the networks that were
trained, not of another seed; where several seeds are common, errors are averaged over them first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.core.record import Record
from harness.results.statistics import (
    Floats,
    Interval,
    adjusted,
    mcnemar_p_value,
    paired_p_value,
    t_interval,
)

FEWEST = 20
"""Examples below which nothing is compared."""


@dataclass(frozen=True, kw_only=True)
class ByExample:
    """The errors of B less those of A on the same examples."""

    examples: int
    seeds: int
    """Over which the errors of an example are averaged."""
    difference: float
    """Mean; above 0 if A errs less."""
    interval: Interval
    """95 %, over examples."""
    p_value: float
    """Two-sided, of neither erring more: McNemar's exact test of right and wrong, else a paired
    permutation test."""
    adjusted_p_value: float
    """Raised for all comparisons that are shown together."""


def by_example(a: Sequence[Record], b: Sequence[Record]) -> ByExample | None:
    """Compare the runs of two models under one condition; None where they share no examples.

    Args:
        a: Runs of one task, with one seed each.
        b: The same of the other model.
    """
    ours, theirs = _errors(a), _errors(b)
    pairs = [
        (ours[seen, seed], theirs[seen, seed]) for seen, seed in ours if (seen, seed) in theirs
    ]
    count = min((len(errors) for pair in pairs for errors in pair), default=0)
    if count < FEWEST or len({seen for seen, _ in ours.keys() & theirs.keys()}) > 1:
        return None
    first, second = (
        np.mean([np.asarray(errors[:count]) for errors in side], axis=0)
        for side in zip(*pairs, strict=True)
    )
    differences: Floats = second - first
    binary = set(np.unique(np.stack([first, second]))) <= {0.0, 1.0}
    test = mcnemar_p_value if binary else paired_p_value
    return ByExample(
        examples=count,
        seeds=len(pairs),
        difference=float(differences.mean()),
        interval=t_interval(differences.tolist()),
        p_value=(p_value := test(differences)),
        adjusted_p_value=p_value,
    )


def adjusted_together(found: Sequence[ByExample | None]) -> list[ByExample | None]:
    """Raise the p-values of comparisons that are shown together; those that are none stay so."""
    raised = iter(adjusted([each.p_value for each in found if each]))
    return [each and replace(each, adjusted_p_value=next(raised)) for each in found]


def _errors(records: Sequence[Record]) -> Mapping[tuple[str, int], Sequence[float]]:
    """Return errors by the digest of their examples and by seed."""
    return {
        (kept.examples, record.spec.seed): kept.values
        for record in records
        if record.outcome == "ok" and record.learned and (kept := record.learned.per_example)
    }
