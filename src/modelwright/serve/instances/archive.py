"""Unpacking model.tar.gz, whoever made it: nothing lands outside the folder, and no more than there is room for."""

import gzip
import lzma
import tarfile
import zlib
from pathlib import Path

from modelwright.errors import RecordError
from modelwright.store import whole_folder

MOST_BYTES = 64 * 1024**3
"""Of all files together, unpacked."""

MOST_FILES = 100_000

_DAMAGE = (
    tarfile.TarError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    gzip.BadGzipFile,
    FileExistsError,
    NotADirectoryError,
)


def unpack(archive: Path, folder: Path, *, most_bytes: int = MOST_BYTES, most_files: int = MOST_FILES) -> None:
    """Unpack a model's archive into a new folder, which appears whole or not at all.

    Plain files and folders only: links, devices, absolute paths and ".." are refused, and so is a path that comes
    twice. No file is given rights to run, nor an owner.

    Args:
        archive: a tar file, compressed with gzip or not.
        folder: must not exist, or be empty.
        most_bytes: of all files together, unpacked.
        most_files: files and folders.

    Raises:
        RecordError: the archive is damaged, holds anything else, or too much.
        SettingError: something is at the folder's place.
        OSError: the folder cannot be written.
    """
    try:
        with tarfile.open(archive, "r:*") as held, whole_folder(folder, ()) as part:
            _copy(held, part, archive, most_bytes, most_files)
    except _DAMAGE as failure:
        rule = f"a model's archive must be a whole tar file ({failure})"
        raise RecordError(rule, where=str(archive), way_out="Pack it, or fetch it, again.") from failure


def _copy(held: tarfile.TarFile, part: Path, archive: Path, most_bytes: int, most_files: int) -> None:
    files = total = 0
    for member in held:
        path = _inside(member, part, archive)
        files, total = files + 1, total + member.size
        if files > most_files or total > most_bytes:
            rule = f"an archive must hold at most {most_files} files of {most_bytes} bytes together"
            raise RecordError(rule, where=str(archive), value=member.name, way_out="Raise the limits if you trust it.")
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        source = held.extractfile(member)
        if source is None:
            raise RecordError("each member must be a plain file", where=str(archive), value=member.name)
        with path.open("xb") as file:
            while content := source.read(1024 * 1024):
                file.write(content)


def _inside(member: tarfile.TarInfo, part: Path, archive: Path) -> Path:
    pieces = [piece for piece in member.name.split("/") if piece not in ("", ".")]
    path = part.joinpath(*pieces)
    plain = (member.isreg() and pieces) or member.isdir()
    if (
        not plain
        or ".." in pieces
        or member.name.startswith("/")
        or "\\" in member.name
        or (member.isreg() and path.exists())
    ):
        rule = "an archive must hold plain files and folders, each path once and within it"
        raise RecordError(rule, where=str(archive), value=member.name, way_out="Pack it with modelwright serve pack.")
    return path
