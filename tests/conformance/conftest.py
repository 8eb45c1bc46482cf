"""What the tests over all plugins share."""

from collections.abc import Callable
from typing import Any

import pytest

from harness.data.fetch import fault


@pytest.fixture
def need_files() -> Callable[[Any], None]:
    """Return what skips a test of a task whose files nobody has fetched: tests download nothing.

    Their checksums say which bytes they must have; such a task has tests of its own, on small files
    in the original layout.
    """

    def check(task: Any) -> None:
        files = task.files() if task.kind == "task" else ()
        missing = [file.name for file in files if fault(file)]
        if missing:
            pytest.skip(f"{', '.join(missing)} not fetched")

    return check
