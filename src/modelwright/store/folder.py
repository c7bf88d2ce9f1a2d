"""A folder that appears whole or not at all, beside what may have been there before."""

import contextlib
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from modelwright.errors import SettingError


@contextlib.contextmanager
def whole_folder(target: Path, files: Collection[str]) -> Iterator[Path]:
    """A new folder to fill. Where the block ends well it takes the target's place; otherwise it is gone.

    It is filled under another name in the same place. What a killed process left of one is removed by the next call. A
    folder that was there is set aside just before the new one takes its name, and removed after that; a process that is
    killed in between leaves it aside, and the next call puts it back first. One process at a time may fill a target.

    Args:
        target: the folder.
        files: names that it may hold already, and then loses; with any other, it is left alone.

    Raises:
        SettingError: at the target is something else than a folder of such files.
        OSError: the place cannot be written; the target is as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.old")
    _check(aside, files)
    _tidy(target, aside)
    _check(target, files)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.mkdir()
        yield part
        _take_place(part, target, aside)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _take_place(part: Path, target: Path, aside: Path) -> None:
    if target.exists():
        target.rename(aside)
    try:
        part.rename(target)
    except BaseException:
        if aside.exists():
            aside.rename(target)
        raise


def _tidy(target: Path, aside: Path) -> None:
    if aside.exists() and not target.exists():
        aside.rename(target)
    shutil.rmtree(aside, ignore_errors=True)
    for part in target.parent.glob(f".{target.name}.*.part"):
        number = part.name.removeprefix(f".{target.name}.").removesuffix(".part")
        if number.isdecimal() and (int(number) == os.getpid() or not _lives(int(number))):
            shutil.rmtree(part, ignore_errors=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)  # signal 0 only asks (kill(2))
    except ProcessLookupError:
        return False
    except OSError:  # it is someone else's
        return True
    return True


def _check(target: Path, files: Collection[str]) -> None:
    if not target.exists() and not target.is_symlink():
        return
    plain = target.is_dir() and not target.is_symlink()
    strangers = sorted({entry.name for entry in target.iterdir()} - set(files)) if plain else [target.name]
    if strangers:
        rule = "a folder that is replaced must hold nothing but an earlier network's files"
        way_out = "Move it away, or hand over to another folder."
        raise SettingError(rule, where=str(target), value=strangers, way_out=way_out)
