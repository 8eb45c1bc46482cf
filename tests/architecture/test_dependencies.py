"""Every dependency says what it is for, and nothing is said of one that is gone."""

import re
import tomllib
from pathlib import Path

PAGE = Path("docs", "decisions", "0016-dependencies.md")


def wanted(root: Path) -> set[str]:
    """Return the distributions that the project names, its extras and itself left out."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {re.match(r"[\w.-]+", text)[0] for texts in lists for text in texts}  # type: ignore[index]
    return names - {project["name"]}


def test_every_dependency_has_a_row_that_says_what_it_is_for(root: Path) -> None:
    rows = re.findall(r"^\| `([\w.-]+)` \| (.+?) \|", (root / PAGE).read_text(), flags=re.MULTILINE)

    assert sorted(name for name, _ in rows) == sorted(wanted(root))
