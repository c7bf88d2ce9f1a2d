"""Real processes: started, called, drained, stopped, killed, and each misbehaviour with its bounded outcome."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from modelwright.errors import InstanceError
from modelwright.serve.instances import Launch, invocation_headers, start_instance

ECHO = """
def model_fn(folder):
    return "echo"

def transform_fn(model, body, content_type, accept):
    return body, content_type or "application/octet-stream"
"""

SLEEPS = """
import time
def model_fn(folder):
    return None
def transform_fn(model, body, content_type, accept):
    time.sleep(float(body))
    return body, "text/plain"
"""


HOLDS = """
import pathlib, time
FOLDER = pathlib.Path(FOLDER_NAME)
def model_fn(folder):
    return None
def transform_fn(model, body, content_type, accept):
    (FOLDER / "begun").touch()
    while not (FOLDER / "free").exists():
        time.sleep(0.01)
    return body, "text/plain"
"""


def holding(folder: Path) -> str:
    """A script that begins a call, and ends it when it is let."""
    return HOLDS.replace("FOLDER_NAME", repr(str(folder)))


async def begun(folder: Path) -> None:
    """Wait until such a script has begun a call."""
    while not (folder / "begun").exists():
        await asyncio.sleep(0.01)


async def flow(pieces: int, size: int):
    for number in range(pieces):
        yield bytes([number % 256]) * size


def test_a_call_goes_in_and_out_with_its_headers_and_is_recorded(start, invoke, run, tmp_path) -> None:
    instance = start(ECHO)
    headers = invocation_headers("a/b", "c/d", "attr=1", "id-7")
    assert invoke(instance, b"hello", headers) == (200, "a/b", b"hello")
    assert run(instance.ping())
    assert instance.working == 0
    ending = run(instance.stop(10))
    assert (ending.code, ending.wanted) == (0, True)
    lines = [json.loads(line) for line in (tmp_path / "record0").read_text().splitlines()]
    [line] = [line for line in lines if line.get("event") == "invocation"]
    assert (line["inference_id"], line["status"], line["input_bytes"], line["output_bytes"]) == ("id-7", 200, 5, 5)


def test_fifty_megabytes_go_through_in_pieces(start, run) -> None:
    instance = start(ECHO)

    async def call() -> tuple[int, int]:
        async with instance.invoke([], flow(200, 250_000), deadline_s=60) as answer:
            return answer.status, sum([len(piece) async for piece in answer.body])

    assert run(call()) == (200, 50_000_000)


def test_connections_are_used_again(start, invoke) -> None:
    instance = start(ECHO)
    for number in range(5):
        assert invoke(instance, b"%d" % number)[2] == b"%d" % number
    assert len(instance._wires) == 1


def test_a_call_that_runs_is_finished_before_the_process_ends(start, run, tmp_path) -> None:
    instance = start(holding(tmp_path))

    async def call() -> bytes:
        async with instance.invoke([], b"held", deadline_s=60) as answer:
            return await answer.read()

    async def main() -> tuple[bytes, int]:
        calling = asyncio.create_task(call())
        await begun(tmp_path)
        stopping = asyncio.create_task(instance.stop(60))
        await asyncio.sleep(0.1)
        assert instance.alive
        (tmp_path / "free").touch()
        return await calling, (await stopping).code

    assert run(main()) == (b"held", 0)


def test_draining_waits_for_what_runs_and_takes_nothing_more(start, run) -> None:
    instance = start(SLEEPS)

    async def main() -> None:
        async def call() -> bytes:
            async with instance.invoke([], b"0.2", deadline_s=30) as answer:
                return await answer.read()

        calling = asyncio.create_task(call())
        await asyncio.sleep(0)
        draining = asyncio.create_task(instance.drain())
        await asyncio.sleep(0)
        assert not draining.done()
        with pytest.raises(InstanceError, match="takes no more calls"):
            await call()
        await draining
        assert calling.done()
        assert await calling == b"0.2"

    run(main())


def test_a_killed_instance_is_noticed_at_once_by_who_waits_and_by_who_called(start, run, tmp_path) -> None:
    instance = start(holding(tmp_path))

    async def main() -> None:
        async def call() -> None:
            async with instance.invoke([], b"held", deadline_s=200) as answer:
                await answer.read()

        calling, ended = asyncio.create_task(call()), asyncio.create_task(instance.ended())
        await begun(tmp_path)
        os.kill(instance.process, signal.SIGKILL)
        async with asyncio.timeout(5):
            ending = await ended
            with pytest.raises(InstanceError, match="killed by SIGKILL") as told:
                await calling
        assert (ending.code, ending.wanted, told.value.fate) == (-9, False, "died")
        with pytest.raises(InstanceError) as told:
            await call()
        assert told.value.fate == "died"

    run(main())


def test_one_that_hangs_in_a_request_is_late_and_can_be_stopped(start, invoke, run) -> None:
    instance = start(SLEEPS)
    with pytest.raises(InstanceError, match=r"within 0\.2 seconds") as told:
        invoke(instance, b"1000", deadline_s=0.2)
    assert (told.value.fate, instance.late, instance.alive) == ("late", 1, True)
    ending = run(instance.stop(20))  # nobody waits for its answer any more
    assert (ending.code, ending.wanted) == (0, True)


def test_one_that_does_not_end_in_its_grace_is_killed(start, run, tmp_path) -> None:
    instance = start(holding(tmp_path))

    async def main() -> None:
        async def call() -> None:
            async with instance.invoke([], b"held", deadline_s=2000) as answer:
                await answer.read()

        calling = asyncio.create_task(call())
        await begun(tmp_path)
        ending = await instance.stop(0.2)
        assert (ending.code, ending.wanted) == (-9, True)
        with pytest.raises(InstanceError, match="killed by SIGKILL"):
            await calling

    run(main())


def test_time_for_the_inputs_source_and_the_answers_reader_is_not_the_instances(start, run) -> None:
    instance = start(ECHO)

    async def slow():
        yield b"a" * 300_000
        await asyncio.sleep(0.7)
        yield b"b" * 300_000

    async def main() -> int:
        async with instance.invoke([], slow(), deadline_s=0.5) as answer:
            await asyncio.sleep(0.7)
            return len(await answer.read())

    assert run(main()) == 600_000


def test_a_body_that_breaks_off_is_raised_as_it_is_and_the_instance_goes_on(start, invoke, run) -> None:
    instance = start(ECHO)

    async def broken():
        yield b"abc"
        raise ConnectionResetError("the store is gone")

    with pytest.raises(ConnectionResetError, match="the store is gone"):
        invoke(instance, broken())
    assert invoke(instance, b"next")[2] == b"next"


def test_an_error_of_the_model_is_an_answer_with_500(start, invoke, run, tmp_path) -> None:
    instance = start("""
        def model_fn(folder):
            return None
        def transform_fn(model, body, content_type, accept):
            raise ValueError("no such animal")
    """)
    status, kind, body = invoke(instance, b"x")
    assert (status, kind) == (500, "application/json")
    assert json.loads(body)["message"] == "ValueError: no such animal"
    run(instance.stop())
    assert "transform_fn" in (tmp_path / "record0").read_text()  # the trace is in the record


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("def model_fn(folder):\n    raise RuntimeError('weights are missing')", "weights are missing"),
        ("import os\ndef model_fn(folder):\n    os._exit(7)", "exit code 7"),
        ("import os\ndef model_fn(folder):\n    os.kill(os.getpid(), 11)", "killed by SIGSEGV"),
        ("import nothing_of_that_name", "nothing_of_that_name"),
        ("def model_fn(:", "SyntaxError"),
        ("x = 1", "model_fn"),
    ],
)
def test_one_that_crashes_at_load_is_told_with_its_reason(start, source, match) -> None:
    with pytest.raises(InstanceError, match=match) as told:
        start(source)
    assert told.value.fate == "unready"


FAKE = """
import json, os, socket, sys
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
heard = socket.create_server(("127.0.0.1", 0))
tell = int(words["--tell"])
def say(line):
    os.write(tell, json.dumps(line).encode() + b"\\n")
say({"port": heard.getsockname()[1]})
say({"ready": True})
first = True
while True:
    connection, _ = heard.accept()
    asked = connection.recv(65536)
    if asked.startswith(b"GET /ping"):
        connection.sendall(b"HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\n\\r\\n")
    else:
        connection.sendall(ANSWER)
    connection.close()
"""


@pytest.mark.parametrize(
    ("answer", "fate"),
    [
        (b"\x00\xffgarbage\r\n\r\n", "garbled"),
        (b"", "garbled"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort", "garbled"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000, "garbled"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "garbled"),
    ],
)
def test_garbage_is_no_answer(run, invoke, tmp_path, answer, fate) -> None:
    source = tmp_path / "fake.py"
    source.write_text(FAKE.replace("ANSWER", repr(answer)))
    launch = Launch(tmp_path, tmp_path / "record", command=(sys.executable, str(source)))
    instance = run(start_instance(launch, patience_s=20))
    with pytest.raises(InstanceError) as told:
        invoke(instance, b"x")
    assert told.value.fate == fate
    run(instance.kill())


def test_a_gigabyte_of_answer_ends_at_the_limit_and_a_hundred_megabytes_of_chatter_leave_a_small_record(
    start, invoke, tmp_path
) -> None:
    instance = start("""
        import sys
        def model_fn(folder):
            for _ in range(100):
                sys.stderr.write("chatter " * 125_000 + "\\n")
        def transform_fn(model, body, content_type, accept):
            return bytes(1_000_000) for _ in range(1000)
    """.replace("return bytes(1_000_000) for _ in range(1000)", "return (bytes(1_000_000) for _ in range(1000))"),
        record_bytes=100_000,
    )  # fmt: skip
    with pytest.raises(InstanceError, match="at most 5000000 bytes") as told:
        invoke(instance, b"", most_bytes=5_000_000)
    assert told.value.fate == "long"
    assert sum(path.stat().st_size for path in tmp_path.glob("record0*")) <= 100_000
    assert invoke.__name__ == "calls"
    assert instance.alive


def test_an_answer_that_breaks_off_is_not_taken_for_whole(start, invoke) -> None:
    instance = start("""
        def model_fn(folder):
            return None
        def pieces():
            yield b"begun"
            raise ValueError("amid")
        def transform_fn(model, body, content_type, accept):
            return pieces()
    """)
    with pytest.raises(InstanceError, match="break a connection off") as told:
        invoke(instance, b"")
    assert told.value.fate == "garbled"
    assert instance.alive


def test_more_calls_than_it_holds_are_refused_and_the_others_answered(start, run, tmp_path) -> None:
    instance = start(holding(tmp_path), "--concurrency", "2", "--waiting", "1")

    async def call() -> int:
        async with instance.invoke([], b"held", deadline_s=60) as answer:
            await answer.read()
            return answer.status

    async def main() -> tuple[list[int], list[int]]:
        calls = {asyncio.create_task(call()) for _ in range(10)}
        refused: set[asyncio.Task[int]] = set()
        while len(refused) < 5:  # of ten calls it works on two and lets three wait
            refused, held = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED, timeout=0.05)
        (tmp_path / "free").touch()
        return [task.result() for task in refused], await asyncio.gather(*held)

    assert run(main()) == ([503] * 5, [200] * 5)
