"""Draws an example of every task and puts it on the task's page.

`python tools/task_pages.py` draws what needs no download and is not drawn yet, and writes between
the markers `<!-- example: NAME -->` and `<!-- /example -->` in docs/tasks. A picture's name holds
the task's version, so a new version is drawn anew; `--again` draws every one. `--check` draws and
writes nothing and says which pages are not as they should be.

Axes: l positions, c channels, p positions of the targets, s size of a value.
"""

import io
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from PIL import Image
from torch import Tensor

from harness.contract.batch import Batch
from harness.contract.denoising import IGNORED
from harness.contract.task import LearningTask
from harness.plugins.loading import load_task
from harness.plugins.registry import registry
from harness.report.canvas import finished, panels

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "tasks"
OURS = "ssm-bench"
MARKER = re.compile(
    r"<!-- example: (?P<name>\S+) -->\n(?:(?:(?!<!-- example:).)*?<!-- /example -->\n)?", re.DOTALL
)
IMAGES = re.compile(r"images/.*|lra/image|lra/path.*|synthetic/pathfinder.*")
"""Tasks whose positions are the pixels of a square, row by row."""
ROW, ROWS = 24, 8
"""Tokens of a row, and rows, that are shown; the rest is counted in the title."""

COLOURS = 64
"""Of a picture's file."""


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with `--check` compare them; 1 if something is missing or differs."""
    check, again = "--check" in arguments, "--again" in arguments
    wrong, shown = [], set()
    for page in sorted(PAGES.glob("*.md")):
        before = page.read_text(encoding="utf-8")
        names = [match["name"] for match in MARKER.finditer(before)]
        shown |= set(names)
        for name in () if check else names:
            drawn(name, again=again)
        after = MARKER.sub(lambda match: part(match["name"]), before)
        if not check:
            page.write_text(after, encoding="utf-8")
        elif after != before:
            wrong.append(f"{page.name} is not up to date")
    wrong += [f"{name} is on no page" for name in sorted(ours() - shown)]
    wrong += [f"{name} has no picture" for name in sorted(shown) if lacks_picture(name)]
    sys.stderr.writelines(f"{sentence}; run python tools/task_pages.py.\n" for sentence in wrong)
    return int(bool(wrong))


def ours() -> set[str]:
    """Return the names of our tasks on which networks learn."""
    names = [each.name for each in registry().of("task").values() if each.origin == OURS]
    return {name for name in names if load_task(name).learns}


def part(name: str) -> str:
    """Write what stands on the page about a task's example."""
    if needs_files(name):
        text = "*No picture: its files are not part of this project; `ssm-bench data fetch` them.*"
    else:
        text = f"![One example of {name}]({picture(name).relative_to(PAGES)})"
    return f"<!-- example: {name} -->\n\n{text}\n\n<!-- /example -->\n"


def needs_files(name: str) -> bool:
    """Say whether a task's data must be fetched."""
    return bool(load_task(name).files())


def lacks_picture(name: str) -> bool:
    """Say whether a task could have a picture and has none."""
    return not needs_files(name) and not picture(name).exists()


def picture(name: str) -> Path:
    """Return where the picture of a task's version lies."""
    version = load_task(name).version
    return PAGES / "pictures" / f"{name.replace('/', '-')}-{version}.png"


def drawn(name: str, *, again: bool) -> None:
    """Draw an example of a task, if that is possible and not done."""
    if needs_files(name) or (picture(name).exists() and not again):
        return
    task = load_task(name)
    assert isinstance(task, LearningTask)
    example = next(task.train_batches(1))
    sides = list(views(name, example))
    with panels(len(sides)) as (figure, axes):
        figure.set_size_inches(*(figure.get_size_inches() * (1.6, 0.9)))
        for axis, (title, values) in zip(axes, sides, strict=True):
            show(axis, values, square=bool(IMAGES.fullmatch(name)))
            axis.set_title(title)
        made = finished(figure, name=name, title=name, alt="")
    assert made is not None
    picture(name).parent.mkdir(exist_ok=True)
    # A few colours are enough, and a quarter of the bytes.
    with Image.open(io.BytesIO(made.png)) as image:
        image.quantize(COLOURS).save(picture(name), optimize=True)


def views(name: str, example: Batch) -> Iterator[tuple[str, Tensor]]:
    """Return what is shown of an example, each with its title; a single label is a title."""
    values, target = example.inputs[0], example.targets[0]
    label = f": label {target.item():.4g}" if target.numel() == 1 else ""
    if target.ndim == 1 and target.numel() > ROW * ROWS and (target[: ROW * ROWS] == IGNORED).all():
        values, target = values[-ROW * ROWS :], target[-ROW * ROWS :]
        label = f", the last {ROW * ROWS} of {example.inputs.shape[1]:,} positions"
    yield f"{name}{label}", values
    if len(target.flatten()) > 1 and len(target) == 1:
        yield "targets at the last position", target.mT
    elif target.numel() > 1:
        behind = len(target) < len(values)
        yield f"targets, the last {len(target)} positions" if behind else "targets", target


def show(axis: Axes, values: Tensor, *, square: bool) -> None:
    """Draw pixels, tokens or lines."""
    side = round(len(values) ** 0.5)
    if square and side * side == len(values):
        pixels(axis, values.reshape(side, side, -1))
    elif values.is_floating_point():
        lines(axis, values.flatten(1))
    else:
        cells(axis, values.flatten())


def pixels(axis: Axes, image: Tensor) -> None:
    """Draw grey or coloured values, or classes."""
    axis.imshow(image.squeeze(-1).numpy(), cmap="gray", interpolation="nearest")
    axis.set_axis_off()


def lines(axis: Axes, values: Tensor) -> None:
    """Draw every channel over the positions, the first on top."""
    marked = "." if len(values) < 100 else None
    apart = 1.1 * float(values.max() - values.min())
    for channel, line in enumerate(values.T):
        axis.plot((line - channel * apart).numpy(), linewidth=0.8, marker=marked)
    axis.set_xlabel("position")
    if (count := values.shape[1]) > 1:
        axis.set_yticks([-channel * apart for channel in range(count)], map(str, range(count)))
        axis.set_ylabel("channel")


def cells(axis: Axes, tokens: Tensor) -> None:
    """Write tokens in rows, coloured by their number; what nobody asks for stays empty."""
    count = len(tokens)
    cut = tokens[: ROW * ROWS].numpy().astype(float)
    grid = np.full((ROWS, ROW), np.nan)
    grid.flat[: len(cut)] = np.where(cut == IGNORED, np.nan, cut)
    axis.imshow(grid, cmap=mpl.colormaps["Pastel1"], aspect="auto", interpolation="nearest")
    for (row, column), token in np.ndenumerate(grid):
        if not np.isnan(token):
            axis.text(column, row, f"{token:.0f}", ha="center", va="center", fontsize=7)
    axis.set_xticks([])
    axis.set_yticks([])
    if count > len(cut):
        axis.set_xlabel(f"the first {len(cut)} of {count:,} positions")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
