"""The house is as `docs/architecture.md` draws it, and pages name files that are there."""

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOUSE = ROOT / "harness"
ROOMS = sorted(path.name for path in HOUSE.iterdir() if path.is_dir() and path.name[0] != "_")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
ENTRY = re.compile(r"[├└]── (\S+) +(.*)")
TOPS = "harness|suites|baselines|benchmarks|tests|tools|docs|results"
OURS = re.compile(rf"`((?:{TOPS})(?:/[a-z0-9_.*-]+)+/?)`")
THEIRS = "results/local"
"""What runs leave for a user lies there, and not in the repository."""


def drawings() -> list[str]:
    """Return what the page draws: the tree, the layers, the way of data."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    return re.findall(r"```text\n(.*?)```", page, flags=re.DOTALL)


def drawn() -> dict[str, tuple[str, set[str]]]:
    """Return of each file and room its sentence, and the modules that stand below it."""
    found: dict[str, list[str]] = {}
    for line in drawings()[0].splitlines()[1:]:
        if entry := ENTRY.match(line):
            found[entry[1]] = here = [entry[2]]
        else:
            here.append(line.strip("│ "))
    return {name: (said, set(" ".join(rest).split(", "))) for name, (said, *rest) in found.items()}


def modules(room: Path) -> set[str]:
    """Return a room's modules and folders, as they are drawn."""
    entries = [path for path in room.iterdir() if path.name[0] != "_"]
    folders = {f"{path.name}/" for path in entries if path.is_dir()}
    return folders | {path.stem for path in entries if path.suffix == ".py"}


def test_the_drawing_holds_every_room_and_every_file_beside_them() -> None:
    files = {path.name for path in HOUSE.iterdir() if path.is_file()}
    assert drawn().keys() == files | {f"{room}/" for room in ROOMS}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_drawn_with_one_sentence_and_its_modules(room: str) -> None:
    said, named = drawn()[f"{room}/"]
    assert re.fullmatch(r"[A-Z][^.]+\.", said)
    assert named == modules(HOUSE / room), f"bring {room}/ in docs/architecture.md up to date"


def test_the_layers_are_drawn_as_import_linter_has_them() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    layers = contracts["importlinter:contract:floors"]["layers"]
    assert drawings()[1].splitlines() == layers.strip().splitlines()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_names_files_that_are_there(page: Path) -> None:
    named = {path for path in OURS.findall(page.read_text()) if not path.startswith(THEIRS)}
    assert {path for path in named if not list(ROOT.glob(path))} == set()
