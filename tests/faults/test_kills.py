"""Sweeps that are killed at random moments lose nothing and leave nothing."""

import pytest

from tests.faults.kills import campaign


@pytest.mark.slow
def test_two_sweeps_over_one_folder_that_are_killed_have_every_run_once_in_the_end(tmp_path):
    count = campaign(3, 0, tmp_path)

    assert count.kills == 3
    assert count.clean, f"{count}"
