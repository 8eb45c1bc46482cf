"""The statistics that tables and comparisons rest on: 95 % intervals, and tests of pairs.

What is drawn here is drawn from generators of fixed seed, so the same records give the same report.
How often the intervals hold what they claim was simulated: `docs/decisions/0020`.
"""

from collections.abc import Sequence
from functools import cache
from statistics import mean
from typing import Any

import numpy as np
import scipy  # which loads its parts when they are used

Floats = np.ndarray[Any, np.dtype[np.float64]]
Interval = tuple[float, float]

POINT = 0.01
"""A point of a score."""
DRAWS = 1000
"""Bootstrap samples; 95 % intervals then rest on 25 draws at each end."""
FLIPS = 4999
"""Draws of signs for many examples: of a hundred comparisons a single one can still stand out."""
MANY = 20
"""Values from which a bootstrap covers a mean as often as Student's t does."""
SOME = 5
"""Values from which a bootstrap covers a median as often as it claims."""
FIRST_LOOK = 3
"""Values at which a sequential test looks for the first time."""
NARROW = 0.1
"""Chosen for effects of about three spreads, as differences of models over seeds are."""


def mean_interval(values: Sequence[float]) -> Interval:
    """Return the 95 % interval of the mean of two values or more.

    Student's t, which keeps its word for few values; from `MANY` on a BCa bootstrap, which follows
    their skew.
    """
    if len(values) < MANY or len(set(values)) == 1:
        return t_interval(values)
    return _bootstrapped(values, np.mean, "BCa")


def median_interval(values: Sequence[float]) -> Interval | None:
    """Return the 95 % bootstrap interval of the median; None of fewer than `SOME` values."""
    return _bootstrapped(values, np.median, "percentile") if len(values) >= SOME else None


@cache
def share_interval(count: int, total: int) -> Interval:
    """Return Wilson's 95 % interval of a share: `count` of `total`, which is not 0."""
    found = scipy.stats.binomtest(count, total).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Raise p-values of several tests so that 5 % of what they find is found by chance.

    Benjamini and Hochberg 1995.
    """
    return [float(p) for p in scipy.stats.false_discovery_control(p_values)] if p_values else []


def t_interval(values: Sequence[float]) -> Interval:
    """Return Student's 95 % interval of the mean of two values or more."""
    if len(set(values)) == 1:  # whose mean is rounded, so they would scatter about it
        return values[0], values[0]
    half = float(scipy.special.stdtrit(len(values) - 1, 0.975)) * float(np.std(values, ddof=1))
    half /= len(values) ** 0.5
    return mean(values) - half, mean(values) + half


def sequential_interval(values: Sequence[float]) -> Interval:
    """Return the 95 % interval of the mean of values that are looked at one by one.

    Whoever looks after each value, from the third on, and stops when he likes, finds the mean
    outside in one of twenty series at most, however long they are.
    """
    half = looked_at(len(values), float(np.std(values, ddof=1)))
    return mean(values) - half, mean(values) + half


def looked_at(count: int, spread: float) -> float:
    """Return half the width of a sequential interval.

    It holds the means that a sequential t-test has not refused: one refuses where the likelihood of
    t, averaged over effects drawn from a normal distribution of variance 1 / `NARROW` (in squared
    spreads), is 20 times that without an effect. Wang and Ramdas 2023, "Anytime-valid t-tests and
    confidence sequences for Gaussian means with unknown variance", arXiv 2310.03722.

    Args:
        count: Values, `FIRST_LOOK` or more.
        spread: Their standard deviation.
    """
    ratio = ((count + NARROW) / NARROW * 20**2) ** (1 / count)
    squared_t = (count - 1) * (ratio - 1) / (1 - ratio * NARROW / (count + NARROW))
    return float((squared_t / count) ** 0.5 * spread)


def values_needed(spread: float, half: float, more_than: int, most: int) -> int | None:
    """Return how many values a sequential interval takes to be narrow enough; None beyond `most`.

    Args:
        spread: The standard deviation that they are expected to have.
        half: What half the interval must be below.
        more_than: Values that are known not to be enough.
        most: The most to be thought of.
    """
    counts = range(max(FIRST_LOOK, more_than + 1), most + 1)
    return next((count for count in counts if looked_at(count, spread) < half), None)


def resampled_medians(samples: Sequence[float], rng: np.random.Generator) -> Floats:
    """Return the medians of `DRAWS` bootstrap samples."""
    values = np.asarray(samples, dtype=np.float64)
    medians: Floats = np.median(rng.choice(values, (DRAWS, len(values))), axis=1)
    return medians


def sign_flip_p_value(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of a mean of paired differences against no difference.

    All sign patterns are tried up to 13 differences, 9,999 drawn ones beyond.
    """
    test = scipy.stats.permutation_test(
        (np.asarray(differences),),
        np.mean,
        permutation_type="samples",
        n_resamples=9999,
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)


def mcnemar_p_value(differences: Floats) -> float:
    """Return the two-sided p-value of two models being right equally often (McNemar's exact test).

    `differences` is (n,): 1 where only the first is right, -1 where only the second is, else 0.
    """
    first, second = int((differences > 0).sum()), int((differences < 0).sum())
    return float(scipy.stats.binomtest(first, first + second).pvalue) if first + second else 1.0


def paired_p_value(differences: Floats) -> float:
    """Return the two-sided p-value of paired differences of many examples against none.

    The permutation test that flips signs, as `sign_flip_p_value`, by `FLIPS` random draws and many
    times as fast; never below 1 / (`FLIPS` + 1).
    """
    moved = differences[differences != 0].astype(np.float32)
    bits = np.frombuffer(np.random.default_rng(0).bytes(-(-FLIPS * len(moved) // 8)), np.uint8)
    flips = np.unpackbits(bits)[: FLIPS * len(moved)].reshape(FLIPS, len(moved))
    sums = 2 * (flips.astype(np.float32) @ moved) - moved.sum()
    extreme = np.abs(sums) >= np.abs(moved.sum()) * (1 - 1e-5)
    return float((extreme.sum() + 1) / (FLIPS + 1))


def p_above_zero(values: Sequence[float], half: float | None = None) -> float:
    """Return the one-sided p-value of a mean that is not above 0.

    Args:
        values: By Student's t over them. Where they do not differ there is no doubt.
        half: Half of the 95 % interval that the one value has from elsewhere; then by the normal
            distribution.
    """
    middle, scale = mean(values), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    if half is not None:
        scale = half / float(scipy.stats.norm.ppf(0.975))
    if scale == 0:
        return 0.0 if middle > 0 else 1.0
    if half is not None:
        return float(scipy.stats.norm.sf(middle / scale))
    return float(scipy.stats.t.sf(middle / scale * len(values) ** 0.5, len(values) - 1))


def _bootstrapped(values: Sequence[float], statistic: Any, method: Any) -> Interval:
    found = scipy.stats.bootstrap(
        (np.asarray(values),),
        statistic,
        method=method,
        n_resamples=9999,
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)
