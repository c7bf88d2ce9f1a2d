"""Object stores of each kind, driven from plain functions."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelwright.clock import ManualClock
from modelwright.serve.objects import OwnObjects, open_own

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Runs a coroutine to its end, all on one loop."""
    with asyncio.Runner() as runner:
        yield runner.run


def fresh(run: Run, folder: Path | None) -> OwnObjects:
    numbers = itertools.count(1)
    made = run(open_own(folder, ManualClock(), lambda: f"upload-{next(numbers)}"))
    run(made.create_bucket("things"))
    return made


@pytest.fixture(params=["folder", "memory"])
def objects(request: pytest.FixtureRequest, run: Run, tmp_path: Path) -> Iterator[OwnObjects]:
    """An object store with the bucket "things"."""
    made = fresh(run, tmp_path / "store" if request.param == "folder" else None)
    yield made
    made.close()


@pytest.fixture
def stored(run: Run, tmp_path: Path) -> Iterator[OwnObjects]:
    """The same in `tmp_path / "store"`."""
    made = fresh(run, tmp_path / "store")
    yield made
    made.close()
