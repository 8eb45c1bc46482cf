"""The global generators, which no plugin may draw from without the harness's scope, nor move."""

import random

import numpy as np
import torch


def advance_global_generators() -> None:
    """Move torch's, numpy's and Python's global generators on."""
    torch.rand(3)
    np.random.random(3)  # noqa: NPY002 - the generator that a plugin may wrongly draw from
    random.random()  # nosec B311 # noqa: S311 - as above


def global_states() -> dict[str, bytes]:
    """Return the states of the global generators of torch and numpy, so that a move shows.

    Python's own is left out: beartype moves it whenever it checks a list.
    """
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002 - as above
    return {"torch": torch.get_rng_state().numpy().tobytes(), "numpy": repr(legacy).encode()}
