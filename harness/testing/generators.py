"""The global generators, which no plugin may draw from without the harness's scope, nor move."""

import random

import numpy as np
import torch


def disturb() -> None:
    """Move torch's, numpy's and Python's global generators on."""
    torch.rand(3)
    np.random.random(3)  # noqa: NPY002 - the generator that a plugin may wrongly draw from
    random.random()  # noqa: S311 - the same


def positions() -> tuple[bytes, str, str]:
    """Tell where the global generators stand, so that a move shows."""
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002 - the same
    return torch.get_rng_state().numpy().tobytes(), repr(legacy), repr(random.getstate())
