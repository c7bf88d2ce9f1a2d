"""What an instance writes on its standard outputs, kept in a file that stays small."""

from pathlib import Path
from typing import final


@final
class Record:
    """A file that is turned over when it is full: the newest lines, and those before them in FILE.1.

    Args:
        path: of the file; its folder is made.
        most_bytes: of both files together.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._half = max(1, most_bytes // 2)
        self._file = path.open("ab", buffering=0)

    def write(self, content: bytes) -> None:
        """Keep more; a disk that takes no more loses it, and ends nobody's work."""
        for start in range(0, len(content), self._half):
            piece = content[start : start + self._half]
            try:
                if self._file.tell() + len(piece) > self._half:
                    self._turn()
                self._file.write(piece)
            except OSError:
                return

    def last(self, most_bytes: int = 2000) -> str:
        """The end of what was written."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - most_bytes))
                return file.read().decode(errors="replace").strip()
        except OSError:
            return ""

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    def _turn(self) -> None:
        self._file.close()
        self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        self._file = self.path.open("ab", buffering=0)
