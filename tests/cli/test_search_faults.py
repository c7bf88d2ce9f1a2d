"""The command `search` when it is killed, interrupted, out of room, or its study is damaged: each has its way out."""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
import pytest

from modelwright.cli.main import main
from modelwright.records import Findings, from_json
from modelwright.search.site import Site
from modelwright.search.study import Study
from modelwright.store import Journal

Disk = Callable[[Path, str], AbstractContextManager[Path]]

pytestmark = pytest.mark.usefixtures("quick")


def ends(folder: Path) -> Counter[tuple[int, int]]:
    """How often each run of each trial was written down as ended."""
    ended = [msgspec.json.decode(e.body) for e in Journal.open(Site(folder).study).read() if e.kind == "ended"]
    return Counter((entry["trial"]["number"], entry["rung"]) for entry in ended)


def found_in(folder: Path) -> Findings:
    return from_json((folder / "findings.json").read_bytes(), Findings)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_stopped_in_the_middle_it_goes_on_and_repeats_nothing(
    number: signal.Signals, code: int, tiny: list[str], command_environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "found"
    command = [sys.executable, "-m", "modelwright", "search", *tiny, "--platform", "x86", "--output", str(folder)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=command_environment)
    assert process.stderr is not None
    lines = []
    while not lines or not lines[-1].startswith("searching: 3 of 4"):
        lines.append(process.stderr.readline())
    process.send_signal(number)
    told = process.stderr.read()
    assert process.wait() == code
    if number == signal.SIGINT:
        assert f"Go on with modelwright search --resume --output {folder}." in told
        assert "Traceback" not in told
    before = ends(folder)
    assert len(before) >= 2
    assert main(["search", "--resume", "--output", str(folder)]) == 0
    assert before <= ends(folder)
    assert set(ends(folder).values()) == {1}
    assert [trial.number for trial in found_in(folder).trials] == [0, 1, 2, 3]


def test_an_interrupt_at_a_terminal_reaches_all_processes_and_is_short(
    tiny: list[str], command_environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "found"
    words = ["--platform", "x86", "--workers", "2", "--trials", "18", "--output", str(folder)]
    command = [sys.executable, "-m", "modelwright", "search", *tiny, *words]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=command_environment, start_new_session=True
    )
    assert process.stderr is not None
    while not process.stderr.readline().startswith("searching: "):
        pass
    os.killpg(process.pid, signal.SIGINT)
    told = process.stderr.read()  # ends when the last process has gone
    assert process.wait() == 130
    assert "Traceback" not in told
    assert told.endswith("modelwright: interrupted\n")
    assert not Study.open(Site(folder).study).state().running


def test_on_a_full_disk_it_says_so_and_goes_on_when_there_is_room(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], small_disk: Disk
) -> None:
    with small_disk(tmp_path / "disk", "200k") as disk:
        folder = disk / "found"
        assert main(["search", *tiny, "--platform", "x86", "--output", str(folder)]) == 1
        told = capsys.readouterr().err.splitlines()[-1]
        assert told.startswith("modelwright: error: ")
        assert "Nothing that was finished is lost: make room" in told or "must have room for one more entry" in told
        before = ends(folder)
        subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
        assert main(["search", "--resume", "--output", str(folder)]) == 0
        assert before <= ends(folder)
        assert set(ends(folder).values()) == {1}
        assert {trial.state for trial in found_in(folder).trials} == {"finished"}


@pytest.mark.parametrize("seed", [0, 1])
def test_a_damaged_study_is_named_and_salvaged_and_the_search_goes_on(
    searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    folder = shutil.copytree(searched, tmp_path / "found")
    study, whole = Site(folder).study, found_in(folder)
    entries = {entry.number: entry.body for entry in Journal.open(study).read()}
    data, draw = bytearray(study.read_bytes()), random.Random(seed)
    place = data.index(b'"trial":', len(data) // (seed + 2))  # within an entry about a trial
    data[place : place + 40] = draw.randbytes(40)
    study.write_bytes(data)
    assert main(["search", "--resume", "--output", str(folder)]) == 1
    told = capsys.readouterr().err
    assert str(study) in told
    assert f"modelwright search salvage {folder} keeps what can be read." in told
    assert study.read_bytes() == data
    assert main(["search", "salvage", str(folder)]) == 0
    told = capsys.readouterr().out
    assert f"Go on with modelwright search --resume --output {folder}." in told
    assert (folder / "study.damaged.db").read_bytes() == data
    saved = [entry.body for entry in Journal.open(study).read()]
    assert len(entries) > len(saved) >= len(entries) - 3
    assert set(saved) <= set(entries.values())
    assert main(["search", "salvage", str(folder)]) == 0
    assert "there is nothing to salvage" in capsys.readouterr().out
    assert main(["search", "--resume", "--output", str(folder)]) == 0
    assert [trial.point for trial in found_in(folder).trials] == [trial.point for trial in whole.trials]
    assert Study.open(study).state().plan == whole.plan


def test_a_second_damage_does_not_write_over_what_was_kept_of_the_first(
    searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(searched, tmp_path / "found")
    study = Site(folder).study
    (folder / "study.damaged.db").write_bytes(b"the first")
    study.write_bytes(study.read_bytes()[:-5000])
    assert main(["search", "salvage", str(folder)]) == 2
    assert "Move that away." in capsys.readouterr().err
    assert (folder / "study.damaged.db").read_bytes() == b"the first"


def test_what_is_no_study_cannot_be_salvaged_and_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = Site(tmp_path).study
    study.write_bytes(b"a letter to a friend\n" * 400)
    assert main(["search", "salvage", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("modelwright: error: ")
    assert study.read_bytes() == b"a letter to a friend\n" * 400
