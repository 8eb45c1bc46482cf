"""Statistics of orders: average ranks and which are apart, and how far two orders agree. No torch.

How often the intervals hold what they claim was simulated: `docs/decisions/0020`.
"""

import numpy as np
import scipy  # which loads its parts when they are used

from harness.results.statistics import Floats, Interval


def average_ranks(scores: Floats) -> Floats:
    """Rank the models of each task from 1, the best, and average over tasks; ties share ranks.

    Args:
        scores: (tasks, models), of which more is better.
    """
    ranks: Floats = scipy.stats.rankdata(-scores, axis=1).mean(axis=0)
    return ranks


def friedman_p_value(scores: Floats) -> float | None:
    """Return the p-value of all models ranking alike, (tasks, models); None below 3 models."""
    if scores.shape[1] < 3 or (scores == scores[:, :1]).all():
        return None
    return float(scipy.stats.friedmanchisquare(*scores.T).pvalue)


def kendall_tau(alike: int, opposed: int, first: int, second: int) -> float | None:
    """Return Kendall's tau-b of two rankings; None if one of them tells no pair apart.

    Args:
        alike: Pairs that both have in the same order.
        opposed: Pairs that they have in opposite orders.
        first: Pairs that the first does not tie.
        second: Pairs that the second does not tie.
    """
    return (alike - opposed) / float(first * second) ** 0.5 if first and second else None


def tau_interval(tau: float, independent: int) -> Interval:
    """Return a 95 % interval of Kendall's tau, also where all pairs agree.

    Wilson's for the share of pairs that agree, (1 + tau) / 2, as if so many of them were drawn one
    by one. Pairs share models, so that they tell less than their number; as many as there are
    models hold the tau of all models with 95 % and mostly more, also over several tasks.

    Args:
        tau: Of a sample.
        independent: Pairs that count as independent, at least one.
    """
    squared = float(scipy.special.ndtri(0.975)) ** 2 / independent
    half = (squared * (1 - tau * tau + squared)) ** 0.5 / (1 + squared)
    middle = tau / (1 + squared)
    return max(-1.0, middle - half), min(1.0, middle + half)


def critical_difference(tasks: int, models: int) -> float:
    """Return by how much average ranks must differ to be apart at 95 %, whichever pair it is.

    Nemenyi's test as in Demšar 2006, "Statistical Comparisons of Classifiers over Multiple Data
    Sets", section 3.2.2.
    """
    quantile = float(scipy.stats.studentized_range.ppf(0.95, models, np.inf)) / 2**0.5
    return quantile * float(np.sqrt(models * (models + 1) / (6 * tasks)))
