"""A search that takes a second: eighteen networks of two blocks, on two hundred digits."""

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from modelwright.records import Architecture, Choice, Findings, Objective, Plan, Recipe, Space

CHOICES = (
    Choice("stages.1.kernel", (3, 5)),
    Choice("stages.2.expansion", (1, 2, 4)),
    Choice("stages.2.width", (8, 16, 24)),
)
FIXED = {
    "stages": 2,
    "image_channels": 1,
    "classes": 10,
    "side": 8,
    "resolution": 8,
    "stem.width": 8,
    "stem.activation": "relu",
    "head.width": 16,
    "activation": "relu",
    "kernel": 3,
    "expansion": 2,
    "repeats": 1,
    "stages.1.stride": 1,
    "stages.2.stride": 2,
    "stages.1.width": 8,
}
TINY = Space("tiny", CHOICES, "modelwright.search.spaces.mbconv:mbconv", FIXED)
RECIPE = Recipe(epochs=3, batch=64, learning_rate=5e-3, crop=0.0)


@pytest.fixture
def plan() -> Plan:
    """Six candidates of the tiny space, by successive halving, for a platform."""
    return Plan(
        space=TINY,
        objectives=(Objective("accuracy", None, "training"), Objective("latency_s")),
        data="digits",
        platform="x86",
        trials=6,
        recipe=RECIPE,
        final=msgspec.structs.replace(RECIPE, epochs=4),
        family=2,
        images=200,
    )


@pytest.fixture(scope="session")
def poison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for a user's module."""
    return tmp_path_factory.mktemp("poison")


MAKER = """
import multiprocessing, os, signal, time
from pathlib import Path
import msgspec
from modelwright.search.spaces.mbconv import mbconv

def make(point, fixed, name):
    point, fixed = dict(point), dict(fixed)
    kind, folder = point.pop("kind"), Path(fixed.pop("folder"))
    if kind == "refused":
        raise ValueError("no network of this kind")
    if kind == "deadly" and name.startswith("trial-"):
        os.kill(os.getpid(), signal.SIGKILL)
    made = mbconv(point, fixed, name)
    if kind == "large":
        first, *others = made.stages
        block = msgspec.structs.replace(first.block, hidden=10**12)
        return msgspec.structs.replace(made, stages=(msgspec.structs.replace(first, block=block), *others))
    if kind == "untrainable":
        return msgspec.structs.replace(made, norm_epsilon=-100.0)
    if kind == "together" and name.startswith("trial-"):  # goes on once two processes are at it
        (folder / f"{os.getpid()}").touch()
        while len(list(folder.iterdir())) < 2:
            time.sleep(0.02)
    if kind == "mortal" and name.startswith("trial-"):  # a helper dies of it; who asked for the helper waits for that
        if multiprocessing.parent_process():
            (folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        while not (folder / "died").exists():
            time.sleep(0.02)
    return made
"""


@pytest.fixture
def poisoned(plan: Plan, poison: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plan]:
    """The plan with a space of a user's own, whose points are of the kinds named, each once."""
    (poison / "makers_of_a_user.py").write_text(MAKER, encoding="utf-8")
    monkeypatch.syspath_prepend(str(poison))

    def of(*kinds: str, trials: int = 0, **more: Any) -> Plan:
        fixed = {**plan.space.fixed, "stages.2.width": 16, "folder": str(tmp_path / "seen")}
        (tmp_path / "seen").mkdir(exist_ok=True)
        space = Space("mine", (Choice("kind", kinds),), "makers_of_a_user:make", fixed)
        settings = {"trials": trials or len(kinds), "method": "random", "evidence": "training", "family": 1, **more}
        return msgspec.structs.replace(plan, space=space, **settings)

    return of


@pytest.fixture
def few_references(monkeypatch: pytest.MonkeyPatch) -> None:
    """The family is held against one small network in place of six large ones, to save time."""
    from modelwright.search.space import make

    def references(costs: Any, data: Any, members: Sequence[float]) -> list[Architecture]:
        point = {"stages.1.kernel": 3, "stages.2.expansion": 4, "stages.2.width": 24}
        return [make(TINY, point, "reference")]

    monkeypatch.setattr("modelwright.search.family.references", references)


@pytest.fixture
def no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members are not exported, which takes most of the time of so small a search."""
    monkeypatch.setattr("modelwright.search.run.hand_over", lambda network, member, *_, **__: member)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Results are the same to the last bit with one number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def forked() -> Callable[[Callable[[], object]], int]:
    """Runs something in a process of its own, and returns its exit code; minus the signal that killed it."""

    def run(act: Callable[[], object]) -> int:
        process = os.fork()
        if not process:
            code = 1
            try:
                code = int(act() or 0)  # type: ignore[call-overload]  # None and whole numbers
            except BaseException:  # noqa: BLE001  # whatever it is, this process must not go on with the tests
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    return run


@pytest.fixture
def facts() -> Callable[[Findings], dict[str, Any]]:
    """All that two runs of one plan must agree on: everything but who did it, when and how fast."""

    def of(findings: Findings) -> dict[str, Any]:
        def learned(found: Any) -> Any:
            epochs = [(epoch.number, epoch.loss, epoch.accuracy) for epoch in found.epochs] if found else None
            return found and (found.accuracy, found.test_accuracy, found.complete, epochs)

        return {
            "trials": [
                (t.number, t.point, t.state, t.budget, t.values, t.reason, t.suggested_by, learned(t.learning))
                for t in findings.trials
            ],
            "networks": [
                (m.name, m.trial, m.architecture, m.estimates, m.counted, m.files, learned(m.learning))
                for m in (*findings.family, *findings.references)
            ],
            "rest": (findings.front, findings.agreements, findings.reasons, findings.hypervolume, findings.notes),
        }

    return of
