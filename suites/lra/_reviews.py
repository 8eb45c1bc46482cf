"""IMDb's reviews of films, out of the archive of their home.

Source: Maas et al. 2011.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from harness.api import RemoteFile, SpecError, members

ARCHIVE = RemoteFile(
    "aclImdb_v1.tar.gz",
    ("https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",),
    # As TensorFlow Datasets publishes it.
    "sha256:c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
    84_125_825,
)
LABELS = {"neg": 0, "pos": 1}


def reviews(path: Path, part: Literal["train", "test"]) -> tuple[list[bytes], np.ndarray]:
    """Read the labelled reviews of the archive's training or test half, in the archive's order.

    Raises:
        SpecError: There are none.
    """
    texts, labels = [], []
    for name, file in members(path, f"aclImdb/{part}/*/*.txt"):
        label = LABELS.get(name.split("/")[2])  # a third folder holds unlabelled reviews
        if label is not None:
            texts.append(file.read())
            labels.append(label)
    if not texts:
        raise SpecError(f"The archive {path} has no reviews at aclImdb/{part}; it must be IMDb's.")
    return texts, np.array(labels)
