"""Cuts what a child says into lines, in time that grows with its length and in bounded memory."""


class TooLongError(ValueError):
    """A child wrote more than a message can be without ending the line."""


class Lines:
    """Takes bytes as they come and gives whole lines; what no line end has followed yet is kept.

    Args:
        most: Bytes that one line may have.
    """

    def __init__(self, most: int = 64 << 20) -> None:
        self.most, self.held = most, 0
        self.parts: list[bytes] = []

    def cut(self, chunk: bytes) -> list[bytes]:
        """Take what came, and return the lines that it ends.

        Raises:
            TooLongError: A line is longer than it may be.
        """
        *whole, rest = chunk.split(b"\n")
        found = []
        for line in whole:
            found.append(b"".join([*self.parts, line]))
            self.parts, self.held = [], 0
        self.parts.append(rest)
        self.held += len(rest)
        if self.held > self.most:
            raise TooLongError(f"a line has more than {self.most >> 20} MiB")
        return found
