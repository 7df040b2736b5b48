"""Files inside of tar files, which are read from there whenever they are needed."""

import re
from dataclasses import dataclass
from pathlib import Path

PATH = re.compile(r"(?P<tar>.*\.tar)@(?P<start>\d+)\+(?P<size>\d+)/(?P<name>[^/]+)", re.DOTALL)


@dataclass(frozen=True)
class TarMember:
    """A file inside of a tar file that is not compressed.

    Attributes:
        tar: The tar file.
        start: Where the content begins in it, in bytes.
        size: The number of bytes.
        name: Its name without folders.
    """

    tar: Path
    start: int
    size: int
    name: str

    @property
    def path(self) -> str:
        """The text that stands for it where other files have a path: with its name at the end, as they have."""
        return f"{self.tar}@{self.start}+{self.size}/{self.name}"

    @classmethod
    def parse(cls, path: str) -> "TarMember | None":
        """Return the member that a path stands for; None for the path of another file."""
        match = PATH.fullmatch(path)
        if match is None or not Path(match["tar"]).is_file():
            return None
        return cls(Path(match["tar"]), int(match["start"]), int(match["size"]), match["name"])

    def read(self) -> bytes:
        """Read the content."""
        with self.tar.open("rb") as file:
            file.seek(self.start)
            return file.read(self.size)
