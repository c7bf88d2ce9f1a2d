"""Studies among real processes, which are killed."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from modelwright.records import Choice, Objective, Plan, Space
from modelwright.search.study import Start, State, Study
from modelwright.search.study.worker import alive, this_worker

PLAN = Plan(Space("table", (Choice("row", tuple(range(1000))),)), (Objective("accuracy"),), "digits", "tpuv3")

PRELUDE = """
import os, signal, sys
from pathlib import Path
import msgspec
from modelwright.search.study import Start, Study

study = Study.open(Path(sys.argv[1]))
def decide(state):
    return [Start({"row": state.next_number}, 1, "rows")] if state.next_number < 12 else []
"""

SHARE = """
print("ready", flush=True)
sys.stdin.readline()
while trials := study.claim(decide):
    for trial in trials:
        study.finish(msgspec.structs.replace(trial, values={"accuracy": trial.point["row"] / 100}))
"""

HOLD = """
[trial] = study.claim(decide)
print(study.worker, trial.number, flush=True)
signal.pause()
"""

WORK = """
while trials := study.claim(decide):
    for trial in trials:
        study.finish(msgspec.structs.replace(trial, values={"accuracy": trial.point["row"] / 100}))
        print(trial.number, flush=True)
"""

POISON = """
study.claim(decide)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "study.db"
    Study.create(path, PLAN)
    return path


def process(script: str, path: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", PRELUDE + script, str(path)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    return worker.stdout.readline().strip()


def next_row(state: State) -> list[Start]:
    return [Start({"row": state.next_number}, 1, "rows")]


def test_two_processes_share_a_study(path: Path) -> None:
    workers = [process(SHARE, path) for _ in range(2)]
    assert [said(worker) for worker in workers] == ["ready"] * 2
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    assert [worker.communicate() and worker.returncode for worker in workers] == [0, 0]
    trials = Study.open(path).state().trials
    assert {number: trial.values["accuracy"] for number, trial in trials.items()} == {n: n / 100 for n in range(12)}
    assert {trial.point["row"] for trial in trials.values()} == set(range(12))
    assert all(trial.state == "finished" for trial in trials.values())


def test_what_was_finished_survives_any_number_of_kills(path: Path) -> None:
    """Two workers at a time, one of them killed at a random moment, until all is done."""
    draw, acknowledged = random.Random(0), set()
    workers = [process(WORK, path), process(WORK, path)]
    for _ in range(4):
        for _ in range(draw.randrange(4)):
            acknowledged |= set(said(workers[0]).split())
        workers[0].kill()
        acknowledged |= set(workers[0].communicate()[0].split())
        workers = [workers[1], process(WORK, path)]
    for worker in workers:
        acknowledged |= set(worker.communicate()[0].split())
        assert worker.returncode == 0
    state = Study.open(path).state()
    assert list(state.trials) == list(range(12))
    assert not state.running
    assert all(state.trials[int(number)].state == "finished" for number in acknowledged)
    for number, trial in state.trials.items():
        assert trial.values == {"accuracy": number / 100} or "3 workers died" in trial.reason


def test_a_killed_workers_trial_goes_to_another_process(path: Path) -> None:
    worker = process(HOLD, path)
    name, number = said(worker).split()
    study = Study.open(path)
    assert alive(name) is True
    assert study.requeue_lost() == ()
    worker.send_signal(signal.SIGSTOP)  # asleep is not dead
    assert study.requeue_lost() == ()
    worker.kill()
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)  # dead, and a zombie: its parent has not asked yet
    assert alive(name) is False
    [trial] = study.claim(next_row)
    assert (trial.number, trial.point) == (int(number), {"row": 0})
    worker.communicate()
    assert alive(name) is False


def test_a_trial_that_kills_real_workers_is_given_up(path: Path) -> None:
    for _ in range(3):
        worker = process(POISON, path)
        worker.communicate()
        assert worker.returncode == -signal.SIGKILL
    study = Study.open(path)
    [trial] = study.claim(next_row)
    assert trial.number == 1
    assert study.state().trials[0].state == "failed"


def test_a_process_is_told_from_a_later_one_with_its_number() -> None:
    machine, number, start = this_worker().split(":")
    assert alive(this_worker()) is True
    assert alive(f"{machine}:{number}:{int(start) - 1}") is False
    assert alive(f"another-{machine}:{number}:{start}") is None
    assert alive("someone") is None
