"""Images that several processes draw, and what becomes of these."""

import pytest

from suites._pathfinder import pool
from suites._pathfinder.pool import images
from suites._pathfinder.style import LRA


def test_helpers_draw_the_same_images_and_end_with_their_asker() -> None:
    seeds = list(range(40))
    alone, helped = images(LRA[32], seeds, 1), images(LRA[32], seeds, 2)
    (helper,) = pool._helpers

    assert all((one == other).all() for one, other in zip(alone, helped, strict=True))
    helper.process.kill()
    with pytest.raises(ChildProcessError, match="has ended"):
        images(LRA[32], seeds, 2)
    assert not pool._helpers
    assert helper.process.returncode is not None
