"""The errors of single test examples, in few bytes of a record. No torch.

Right or wrong takes a bit, anything else a float16; only the first examples of a split are kept.
"""

import struct
from base64 import b64decode, b64encode
from collections.abc import Sequence

import msgspec

MOST, MOST_FLOATS = 4096, 1024
"""The most examples whose errors are kept: of right or wrong, and of anything else."""
LARGEST = 65504.0
"""Of float16; larger errors count as so large."""


class PerExample(msgspec.Struct, frozen=True, kw_only=True):
    """What a run got wrong, example by example, in the order of the test split."""

    count: int
    """Examples: the first ones of the split."""
    examples: str
    """Digest of the first `MOST`, by which two runs know that they saw the same ones."""
    errors: str
    """Base64, of a bit for each, the first one highest, or else of little-endian float16."""

    def __post_init__(self) -> None:
        """Refuse what is no errors of so many examples.

        Raises:
            ValueError: It is read from a damaged record.
        """
        size = len(b64decode(self.errors, validate=True))
        if not 0 < self.count <= MOST or size not in {-(-self.count // 8), 2 * self.count}:
            raise ValueError(f"{size} bytes do not hold the errors of {self.count} examples")

    @property
    def values(self) -> list[float]:
        """Errors: 0 is right; of what is not just right or wrong, a share or a squared error."""
        data = b64decode(self.errors)
        if len(data) < 2 * self.count:  # no byte for each, but a bit
            bits = f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}"
            return [float(bit) for bit in bits[: self.count]]
        return list(struct.unpack(f"<{self.count}e", data))


def kept(errors: Sequence[float], examples: str) -> PerExample:
    """Pack the errors of the first examples.

    Args:
        errors: Of a whole split, which is not empty; none below 0.
        examples: Its digest.
    """
    if set(errors) <= {0.0, 1.0}:
        errors = errors[:MOST]
        bits = "".join(str(int(error)) for error in errors)
        size = -(-len(bits) // 8)
        data = int(bits.ljust(8 * size, "0"), 2).to_bytes(size, "big")
    else:
        errors = errors[:MOST_FLOATS]
        data = struct.pack(f"<{len(errors)}e", *(min(error, LARGEST) for error in errors))
    return PerExample(count=len(errors), examples=examples, errors=b64encode(data).decode())
