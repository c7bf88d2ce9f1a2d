"""An instance on a machine that Ray chose: it answers as one of this machine does, and ends with whoever holds it."""

import asyncio
import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelwright.errors import InstanceError
from modelwright.serve.instances import Instance, Launch, start_instance
from modelwright.serve.instances.guest import Guest

ECHO = """
    import hashlib, json, os
    def model_fn(folder):
        with open(os.path.join(folder, "weights.bin"), "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    def transform_fn(model, body, content_type, accept):
        told = {"pid": os.getpid(), "parent": os.getppid(), "model": model, "word": os.environ.get("WORD", "")}
        told |= {"bytes": len(body), "sha": hashlib.sha256(body).hexdigest()}
        return json.dumps(told)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of this machine alone."""
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install ray")
    context = ray.init(
        num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False, _node_ip_address="127.0.0.1"
    )
    yield context.address_info["gcs_address"]
    ray.shutdown()


@pytest.fixture
def begin(
    cluster: str, scripted: Callable[[Path, str], Path], run: Callable[..., Any], tmp_path: Path
) -> Iterator[Callable[..., Instance]]:
    """Starts an instance of a script on the cluster; all are killed in the end."""
    made: list[Instance] = []

    def begins(source: str, *options: str, **variables: str) -> Instance:
        folder = scripted(tmp_path / "model", source)
        (folder / "weights.bin").write_bytes(bytes(range(256)) * 20_000)
        words = [word for name in variables for word in ("--variable", name)]
        command = (sys.executable, "-m", "modelwright.serve.instances.afar", "--ray", cluster, *words)
        environment = {**os.environ, **variables}
        launch = Launch(folder, tmp_path / "record", options=options, environment=environment, command=command)
        made.append(run(start_instance(launch, patience_s=120)))
        return made[-1]

    yield begins
    for instance in made:
        run(instance.kill())


def test_it_answers_with_the_model_and_variables_that_were_sent_and_ends_with_its_stand_in(begin, invoke, run) -> None:
    instance = begin(ECHO, "--concurrency", "4", WORD="far")
    body = os.urandom(5_000_000)
    status, _, answer = invoke(instance, body)
    told = json.loads(answer)
    assert status == 200
    assert told["word"] == "far"
    assert told["model"] == hashlib.sha256(bytes(range(256)) * 20_000).hexdigest()
    assert (told["bytes"], told["sha"]) == (len(body), hashlib.sha256(body).hexdigest())
    assert told["parent"] not in (os.getpid(), instance.process), "it is not the stand-in's child"
    watch = os.pidfd_open(told["pid"])
    os.kill(instance.process, signal.SIGKILL)
    assert select.select([watch], [], [], 30)[0], "it lives on without its stand-in"
    os.close(watch)


def test_what_a_killed_guest_left_is_removed_by_the_next_and_what_a_living_one_has_is_not(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "there"))
    (tmp_path / "there").mkdir()
    code = (
        "import os, signal, modelwright.serve.instances.guest as guest\nguest.Guest(dict)\nos.kill(0, signal.SIGKILL)"
    )
    words = [sys.executable, "-c", code]
    here = {**os.environ, "TMPDIR": str(tmp_path / "there")}
    assert subprocess.run(words, env=here, start_new_session=True).returncode == -signal.SIGKILL
    [left] = (tmp_path / "there").iterdir()
    one = Guest(dict)
    [mine] = (tmp_path / "there").iterdir()
    assert mine != left
    two = Guest(dict)
    assert len(list((tmp_path / "there").iterdir())) == 2
    one.remove()
    two.remove()
    assert not list((tmp_path / "there").iterdir())


def test_when_it_dies_its_stand_in_says_how_and_ends(begin, invoke, run) -> None:
    instance = begin("""
        import os, signal
        def model_fn(folder):
            return None
        def transform_fn(model, body, content_type, accept):
            print("about to die", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    with pytest.raises(InstanceError) as told:
        invoke(instance, b"x")
    assert told.value.fate in ("died", "garbled")
    assert run(instance.ended()).code == 1
    assert "killed by SIGKILL" in instance.last_lines()
    assert "about to die" in instance.last_lines()


def test_when_told_to_end_it_finishes_what_runs(begin, run, tmp_path) -> None:
    instance = begin(f"""
        import pathlib, time
        def model_fn(folder):
            return None
        def transform_fn(model, body, content_type, accept):
            pathlib.Path({str(tmp_path / "begun")!r}).touch()
            time.sleep(0.5)
            return "whole"
    """)

    async def call() -> bytes:
        async with instance.invoke((), b"x", deadline_s=60) as answer:
            return await answer.read()

    async def stopped_amid() -> tuple[bytes, int]:
        calling = asyncio.create_task(call())
        async with asyncio.timeout(60):
            while not (tmp_path / "begun").exists():
                await asyncio.sleep(0.01)
        ending = await instance.stop(60)
        return await calling, ending.code

    assert run(stopped_amid()) == (b"whole", 0)


def test_one_that_cannot_load_says_why(begin) -> None:
    with pytest.raises(InstanceError, match="no such weights") as told:
        begin("def model_fn(folder):\n    raise OSError('no such weights')")
    assert told.value.fate == "unready"
