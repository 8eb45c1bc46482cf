"""The statistics that tables and comparisons rest on: 95 % intervals and a paired test.

What is drawn here is drawn from generators of fixed seed, so the same records give the same report.
"""

from collections.abc import Sequence
from statistics import mean
from typing import Any

import numpy as np
from scipy.special import stdtrit
from scipy.stats import permutation_test

Floats = np.ndarray[Any, np.dtype[np.float64]]
Interval = tuple[float, float]

DRAWS = 1000
"""Bootstrap samples; 95 % intervals then rest on 25 draws at each end."""


def t_interval(values: Sequence[float]) -> Interval:
    """Return Student's 95 % interval of the mean of two values or more."""
    half = float(stdtrit(len(values) - 1, 0.975)) * float(np.std(values, ddof=1))
    half /= len(values) ** 0.5
    return mean(values) - half, mean(values) + half


def resampled_medians(samples: Sequence[float], rng: np.random.Generator) -> Floats:
    """Return the medians of `DRAWS` bootstrap samples."""
    values = np.asarray(samples, dtype=np.float64)
    medians: Floats = np.median(rng.choice(values, (DRAWS, len(values))), axis=1)
    return medians


def sign_flip_p_value(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of a mean of paired differences against no difference.

    All sign patterns are tried up to 13 differences, 9,999 drawn ones beyond.
    """
    test = permutation_test(
        (np.asarray(differences),),
        np.mean,
        permutation_type="samples",
        n_resamples=9999,
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)
