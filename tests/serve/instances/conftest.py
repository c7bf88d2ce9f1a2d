"""Models that behave and misbehave, and what starts real instances of them."""

import asyncio
import textwrap
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelwright.serve.instances import Instance, Launch, start_instance

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Runs a coroutine to its end, all on one loop."""
    with asyncio.Runner() as runner:
        yield runner.run


def script(folder: Path, source: str) -> Path:
    """A model's folder with that script."""
    (folder / "code").mkdir(parents=True, exist_ok=True)
    (folder / "code" / "inference.py").write_text(textwrap.dedent(source))
    return folder


@pytest.fixture
def scripted() -> Callable[[Path, str], Path]:
    """Makes a model's folder with a script."""
    return script


@pytest.fixture
def start(run: Run, tmp_path: Path) -> Iterator[Callable[..., Instance]]:
    """Starts an instance of a script; all are killed in the end."""
    made: list[Instance] = []

    def starts(source: str, *options: str, patience_s: float = 60.0, **more: Any) -> Instance:
        folder = script(tmp_path / f"model{len(made)}", source)
        launch = Launch(folder, tmp_path / f"record{len(made)}", options=options, **more)
        made.append(run(start_instance(launch, patience_s=patience_s)))
        return made[-1]

    yield starts
    for instance in made:
        run(instance.kill())


@pytest.fixture
def invoke(run: Run) -> Callable[..., tuple[int, str, bytes]]:
    """Calls an instance: status, content type and the whole answer."""

    def calls(instance: Instance, body: Any = b"", headers: Any = (), **limits: Any) -> tuple[int, str, bytes]:
        async def call() -> tuple[int, str, bytes]:
            async with instance.invoke(headers, body, **{"deadline_s": 60, **limits}) as answer:
                return answer.status, answer.content_type, await answer.read()

        return run(call())

    return calls
