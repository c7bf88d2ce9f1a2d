"""A folder appears whole or not at all, wherever the process that fills it is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from modelwright.errors import SettingError
from modelwright.records import write_whole
from modelwright.store import whole_folder

NAMES = ("a", "b")
TOUCHES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}


def fill(target: Path, content: str) -> None:
    with whole_folder(target, NAMES) as part:
        for name in NAMES:
            write_whole(part / name, content + name)


def held(folder: Path) -> dict[str, str] | None:
    return {path.name: path.read_text() for path in folder.iterdir()} if folder.exists() else None


def whole(content: str) -> dict[str, str]:
    return {name: content + name for name in NAMES}


def killed_at(step: int, work: Callable[[], None]) -> bool:
    """Do some work in another process, which dies just before its step-th touch of the disk; whether it did."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == signal.SIGKILL
    left = step

    def count(event: str, _: object) -> None:
        nonlocal left
        if event in TOUCHES:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    try:
        work()
    finally:
        os._exit(0)


@pytest.mark.parametrize("before", [None, "old "])
def test_a_process_killed_at_any_step_leaves_the_old_folder_or_the_new_one(tmp_path: Path, before: str | None) -> None:
    outcomes = []
    for step in range(1, 100):
        place = tmp_path / str(step)
        target = place / "net"
        if before:
            fill(target, before)
        died = killed_at(step, lambda target=target: fill(target, "new "))
        found = held(target)
        if found is None and before:  # killed between the two renames: the old one is aside, whole
            assert held(place / ".net.old") == whole(before)
        else:
            assert found in ([whole("new ")] if not died else [before and whole(before), whole("new ")])
        outcomes.append(found)
        fill(target, "next ")
        assert held(target) == whole("next ")
        assert [path.name for path in place.iterdir()] == ["net"]
        if not died:
            break
    assert step > 8
    assert not died
    assert outcomes[0] == (before and whole(before))
    assert outcomes[-1] == whole("new ")


@pytest.mark.parametrize("before", [None, "old "])
@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failure_leaves_what_was_there(tmp_path: Path, before: str | None, failure: BaseException) -> None:
    target = tmp_path / "net"
    if before:
        fill(target, before)

    def fails() -> None:
        with whole_folder(target, NAMES) as part:
            write_whole(part / "a", "half")
            raise failure

    with pytest.raises(type(failure)):
        fails()
    assert held(target) == (before and whole(before))
    assert {path.name for path in tmp_path.iterdir()} <= {"net"}


def test_another_living_process_keeps_its_part_and_a_dead_one_does_not(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for process in (os.getppid(), dead.pid):
        (tmp_path / f".net.{process}.part").mkdir()
    fill(tmp_path / "net", "new ")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".net.{os.getppid()}.part", "net"]


def test_what_is_no_earlier_folder_of_ours_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "net"
    fill(target, "old ")
    (target / "notes.txt").write_text("mine")
    with pytest.raises(SettingError, match=r"nothing but an earlier network's files.*notes\.txt"):
        fill(target, "new ")
    assert held(target) == whole("old ") | {"notes.txt": "mine"}
    (tmp_path / ".new.old").mkdir()
    (tmp_path / ".new.old" / "notes.txt").write_text("mine")
    with pytest.raises(SettingError, match=r"\.new\.old: .*notes\.txt"):
        fill(tmp_path / "new", "new ")
    for made in (tmp_path / "file", tmp_path / "link"):
        made.write_text("mine") if made.name == "file" else made.symlink_to(target)
        with pytest.raises(SettingError, match="nothing but an earlier network's files"):
            fill(made, "new ")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".new.old", "file", "link", "net"]
