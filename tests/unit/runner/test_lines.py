"""What a child says is cut into lines in linear time, however it comes, and within bounds."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measure.clock import now
from harness.runner.lines import Lines, TooLongError


@given(text=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200)))
def test_lines_are_the_same_wherever_they_were_torn(text, cuts):
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    lines, found = Lines(), []
    for start, end in pairwise(places):
        found += lines.cut(text[start:end])

    assert found == text.split(b"\n")[:-1]


def test_sixty_megabytes_without_an_end_take_a_moment_and_too_many_are_refused():
    lines, chunk = Lines(), b"x" * (1 << 12)
    began = now()
    for _ in range(60 << 8):
        lines.cut(chunk)
    [line] = lines.cut(b"\n")

    assert len(line) == 60 << 20
    assert now() - began < 5  # a copy of all that came for every chunk would be 460 GB
    with pytest.raises(TooLongError, match="more than 64 MiB"):
        any(map(lines.cut, [chunk] * (70 << 8)))
