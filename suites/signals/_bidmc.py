"""What the three vital signs share: their files, windows and splits.

Sources: Pimentel et al. 2016, doi 10.1109/TBME.2016.2613124, for 53 recordings of 8 minutes at
125 Hz; Tan et al. 2020, arXiv 2006.10996, for windows of 32 seconds in the archive of time series
extrinsic regression; the S4 repository (`prepare/bidmc/process_data.py`) for the split `windows`.
"""

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch

from harness.api import Batch, FileTask, Protocol, RemoteFile, Signal, SpecError, Split, Values
from suites.signals._recordings import from_neighbours
from suites.signals._splits import split_recordings, split_windows
from suites.signals._ts import cases

SAMPLES = 4000
CHANNELS = 2


@dataclass(frozen=True, kw_only=True)
class VitalSign(FileTask, ABC):
    """32 seconds of a photoplethysmogram and an electrocardiogram, and a number to tell from them.

    By their number, windows begin about 3 seconds after one another, so neighbours share 9 samples
    in 10 and nearly the same answer. `windows` is the split of the S4 repository, whose test
    windows have such neighbours in the training data; `recordings` keeps all windows of a recording
    together.
    """

    divided: Literal["windows", "recordings"] = "windows"
    """What training, validation and test share out: windows, or whole recordings."""

    quantity: ClassVar[str]
    """As the archive calls it."""
    record: ClassVar[int]
    """At Zenodo."""
    windows: ClassVar[int | None] = 7949
    """In both files together, as published code counts them; None where it is not confirmed."""
    typical: ClassVar[float]
    """The middle of what is normal for an adult at rest, from which predictions start."""
    protocol: ClassVar[Protocol] = Protocol(steps=1000, batch=16, width=64, depth=2)

    @property
    def inputs(self) -> Signal:
        """Two sensors, in the units of the files."""
        return Signal(CHANNELS)

    @property
    def outputs(self) -> Values:
        """One number for a window; the root of the mean squared error."""
        return Values(1, last=None, metric="rmse", start=self.typical)

    @property
    def max_length(self) -> int:
        """32 seconds at 125 Hz."""
        return SAMPLES

    @property
    def causal(self) -> bool:
        """A window is there as a whole."""
        return False

    @property
    def chance(self) -> float:
        """The error of the training mean on the test split, from the data, which are fetched."""
        train, test = (self.split(split).targets.double() for split in ("train", "test"))
        return (test - train.mean()).square().mean().sqrt().item()

    def files(self) -> tuple[RemoteFile, ...]:
        """Two files, for which we found neither size nor checksum; their windows are pooled."""
        return tuple(
            RemoteFile(f"bidmc/{name}", (f"{self.home}/{name}",), None, None)
            for name in (f"BIDMC32{self.quantity}_{part}.ts" for part in ("TRAIN", "TEST"))
        )

    @property
    def home(self) -> str:
        """The address before a file's name."""
        return f"https://zenodo.org/record/{self.record}/files"

    def load(self, split: Split, folder: Path) -> Batch:
        """Read the windows of a split.

        Raises:
            SpecError: A file is broken, or both hold other than the published number of windows.
        """
        paths = [folder / file.name for file in self.files()]
        found = [case for path in paths for case in cases(path, CHANNELS, SAMPLES)]
        if len(found) != (self.windows or len(found)):
            raise SpecError(
                f"There are {len(found):,} windows in {' and '.join(map(str, paths))}, not the "
                f"published {self.windows:,}; remove both, so that they are fetched again."
            )
        windows = np.stack([window for window, _ in found])
        targets = torch.tensor([target for _, target in found]).view(-1, 1, 1)
        whole = self.divided == "recordings"
        rows = (split_recordings(windows) if whole else split_windows(len(found)))[split]
        return Batch(torch.from_numpy(windows), targets)[torch.from_numpy(rows)]

    def shortcut_predictions(self, batch: Batch) -> Mapping[str, torch.Tensor]:
        """Answer as the training windows do with which a window shares samples."""
        train = self.split("train")
        known, targets, queries = (
            x.numpy() for x in (train.inputs, train.targets.flatten(), batch.inputs)
        )
        answer = from_neighbours(known, targets, queries)
        return {"overlapping windows": torch.from_numpy(answer).float().view(-1, 1, 1)}
