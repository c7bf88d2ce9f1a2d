"""How processes begin and end with one another: parent, instance, and what it started."""

import http.client
import json
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from modelwright.errors import InstanceError


def lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_one_that_hangs_at_load_is_given_up_and_gone(start, run, tmp_path) -> None:
    with pytest.raises(InstanceError, match="ready within 1 seconds") as told:
        start(
            f"""
            import os, pathlib, time
            pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(os.getpid()))
            def model_fn(folder):
                time.sleep(1000)
        """,
            patience_s=1,
        )
    assert told.value.fate == "unready"
    if (tmp_path / "pid").exists():
        assert not lives(int((tmp_path / "pid").read_text()))


PARENT = """
import asyncio, os, sys
from pathlib import Path
from modelwright.serve.instances import Launch, start_instance

async def main():
    instance = await start_instance(Launch(Path(sys.argv[1]), Path(sys.argv[2])), patience_s=60)
    print(instance.process, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_it_dies_when_its_parent_is_killed_even_in_the_midst_of_its_work(scripted, tmp_path) -> None:
    folder = scripted(tmp_path / "model", "import time\ndef model_fn(folder):\n    return None")
    words = [sys.executable, "-c", PARENT, str(folder), str(tmp_path / "record")]
    parent = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    process = int(parent.stdout.readline())
    watch = os.pidfd_open(process)
    assert lives(process)
    parent.kill()
    parent.wait()
    assert select.select([watch], [], [], 10)[0], "it lives on without its parent"
    os.close(watch)


def test_what_it_started_ends_with_it(start, invoke, run) -> None:
    instance = start("""
        import subprocess
        def model_fn(folder):
            return subprocess.Popen(["sleep", "1000"])
        def transform_fn(model, body, content_type, accept):
            return str(model.pid)
    """)
    child = int(invoke(instance, b"")[2])
    assert lives(child)
    watch = os.pidfd_open(child)
    ending = run(instance.stop(10))
    assert ending.code == 0
    assert select.select([watch], [], [], 10)[0]
    os.close(watch)


def test_ping_says_503_until_the_model_is_loaded(scripted, tmp_path) -> None:
    folder = scripted(tmp_path, "import time\ndef model_fn(folder):\n    time.sleep(1000)")
    tell, told = os.pipe()
    words = [sys.executable, "-m", "modelwright.serve.instances.runner", "--model", str(folder), "--port", "0"]
    runner = subprocess.Popen([*words, "--tell", str(told)], pass_fds=(told,))
    port = json.loads(os.read(tell, 1000))["port"]
    for method, path, status in (
        ("GET", "/ping", 503),
        ("POST", "/invocations", 503),
        ("GET", "/x", 404),
        ("GET", "/invocations", 405),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request(method, path, b"" if method == "POST" else None)
        assert connection.getresponse().status == status
        connection.close()
    runner.terminate()
    assert runner.wait(20) == 0
    for pipe in (tell, told):
        os.close(pipe)
