"""Processes are killed, hang, crash, run out of room: what was accepted is not lost, and ends once or is marked."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from modelwright.clock import SystemClock
from modelwright.errors import StoreError
from modelwright.records import Retry
from modelwright.serve.service import service as service_module
from modelwright.serve.state import ENDPOINTS, cancel, requests

SERVER = """
import asyncio, os, secrets, sys
from pathlib import Path
from modelwright.clock import SystemClock
from modelwright.records import ConfigurationRecord, EndpointSettings, Invocation, ModelRecord, VariantRecord
from modelwright.serve.service import Site, open_service
from modelwright.serve.state import ENDPOINTS, create_configuration, create_endpoint, create_model

folder = Path(sys.argv[1])

async def main():
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    site = Site(folder / "data", environment=environment)
    async with open_service(site, SystemClock(), lambda: secrets.token_hex(6)) as service:
        bucket, do = site.buckets[0], service.ledger.do
        await do(create_model, ModelRecord("one", str(folder / "models" / "one")))
        settings = EndpointSettings(f"s3://{bucket}/out/")
        await do(create_configuration, ConfigurationRecord("one", (VariantRecord("main", "one", 2),), settings))
        await do(create_endpoint, "one", "one")
        service.poke()
        while service.state.read(ENDPOINTS.get, "one").status != "InService":
            await asyncio.sleep(0.01)
        left = iter(range(1000))

        async def client():
            for number in left:
                out = f"s3://{bucket}/out/{number}"
                await service.accept(Invocation("one", f"r{number}", "", output_location=out), b"%d" % number)
                print(number, flush=True)

        await asyncio.gather(*(client() for _ in range(8)))
        await asyncio.Event().wait()

asyncio.run(main())
"""

COUNTS = """
    import pathlib
    def model_fn(folder):
        return pathlib.Path(folder)
    def transform_fn(model, body, content_type, accept):
        with (model / "ran").open("ab") as file:
            file.write(body + b"\\n")
        return body * 2
"""

WAITS = """
    import pathlib, time
    def model_fn(folder):
        return pathlib.Path(folder)
    def transform_fn(model, body, content_type, accept):
        with (model / "ran").open("ab") as file:
            file.write(body + b"\\n")
        while body == b"long" and not (model / "go").exists():
            time.sleep(0.005)
        return body * 2
"""

MOODS = """
    import os, time
    def model_fn(folder):
        return None
    def transform_fn(model, body, content_type, accept):
        if body == b"hang":
            time.sleep(1000)
        if body == b"crash":
            os._exit(3)
        if body == b"err":
            raise ValueError("not today")
        return body * 2
"""


def processes(folder: Path) -> set[int]:
    """Instances that serve models from a folder."""
    found = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            if b"instances.runner" in words and str(folder).encode() in words:
                found.add(int(entry.name))
    return found


@contextlib.contextmanager
def server(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A server of its own, which accepts request upon request and says which."""
    started = subprocess.Popen([sys.executable, "-c", SERVER, folder], stdout=subprocess.PIPE, text=True)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def acknowledged(process: subprocess.Popen[str], count: int) -> set[int]:
    """What a server has acknowledged, once that is so many."""
    assert process.stdout is not None
    told: set[int] = set()
    for line in process.stdout:
        told.add(int(line))
        if len(told) >= count:
            break
    return told


@pytest.mark.parametrize(("count", "all_of_them"), [(1, False), (40, True), (150, False)])
def test_what_a_killed_server_had_accepted_is_finished_by_the_next_one(
    bench: Any, run: Any, until: Any, tmp_path: Path, count: int, all_of_them: bool
) -> None:
    """The server is killed amid its commits; its instances with it, or by its end."""
    folder = tmp_path / "models" / "one"
    (folder / "code").mkdir(parents=True)
    source = "\n".join(line[4:] for line in COUNTS.splitlines())
    (folder / "code" / "inference.py").write_text(source)
    with server(tmp_path) as process:
        told = acknowledged(process, count)
        before = processes(tmp_path)
        assert len(before) == 2
        for one in before if all_of_them else ():
            os.kill(one, signal.SIGKILL)
        process.send_signal(signal.SIGKILL)
        process.wait()
        told |= {int(line) for line in process.stdout or () if line.endswith("\n")}

    async def story() -> None:
        async with bench() as it:
            await until(lambda: not before & processes(tmp_path))  # orphans end by themselves
            await until(lambda: all(one.finished for one in it.service.state.read(requests, limit=1000).records))
            ended = {one.invocation.inference_id: one for one in it.service.state.read(requests, limit=1000).records}
            assert {f"r{number}" for number in told} <= ended.keys()
            runs = (folder / "ran").read_text().split()
            for name, one in ended.items():
                assert (one.state, one.duplicates) == ("completed", 0)
                assert one.attempts <= 1 + all_of_them, "the server may still have heard that the instance died"
                assert await it.output(one) == name[1:].encode() * 2
                assert 1 <= runs.count(name[1:]) <= one.attempts + one.interruptions

    run(story())


def test_a_killed_instance_is_replaced_and_its_request_runs_again_at_once(
    bench: Any, run: Any, until: Any, tmp_path: Path
) -> None:
    async def story() -> None:
        async with bench() as it:
            folder = await it.serving(source=WAITS)
            long = await it.ask(b"long")
            await until(lambda: (folder / "ran").exists())
            [process] = processes(tmp_path)
            os.kill(process, signal.SIGKILL)
            await until(lambda: it.now(long).attempts == 2)
            assert process not in processes(tmp_path)
            (folder / "go").touch()
            ended = await it.end(long)
            assert (ended.state, ended.attempts, ended.duplicates) == ("completed", 2, 0)
            assert (folder / "ran").read_text().split() == ["long"] * 2

    run(story())


def test_a_model_that_hangs_crashes_or_fails_spoils_no_other_request(bench: Any, run: Any, until: Any) -> None:
    async def story() -> None:
        async with bench() as it:
            await it.serving(source=MOODS, retry=Retry(2, first_s=0.01))
            hang = await it.ask(b"hang", timeout_s=0.3)
            crash = await it.ask(b"crash")
            wrong = await it.ask(b"err")
            good = [await it.ask(b"fine") for _ in range(5)]
            for record, word in ((hang, "within 0.3 seconds"), (crash, "exit code 3")):
                ended = await it.end(record)
                assert (ended.state, ended.attempts) == ("dead", 2)
                assert word in ended.reason
                assert word.encode() in await it.output(ended, bad=True)
            ended = await it.end(wrong)
            assert (ended.state, ended.attempts, ended.answer.status) == ("failed", 1, 500)
            assert "error (500) from model" in ended.reason
            assert b"not today" in await it.output(ended, bad=True)
            for record in good:
                ended = await it.end(record)
                assert (ended.state, ended.attempts) == ("completed", 1)

    run(story())


def test_an_instance_that_does_not_get_done_with_what_was_cancelled_is_replaced(
    bench: Any, run: Any, until: Any, tmp_path: Path
) -> None:
    async def story() -> None:
        async with bench(grace_s=0.2) as it:
            folder = await it.serving(source=WAITS)
            long, waiting = await it.ask(b"long"), await it.ask(b"next")
            await until(lambda: (folder / "ran").exists())
            before = processes(tmp_path)
            await it.service.ledger.do(cancel, "one", long.invocation.inference_id)
            it.service.poke("one")
            assert (await it.end(waiting)).state == "completed"
            assert (it.now(long).state, it.now(long).attempts) == ("cancelled", 1)
            assert not before & processes(tmp_path)

    run(story())


def test_a_store_that_fails_and_dawdles_delays_requests_and_loses_none(
    bench: Any, run: Any, until: Any, faulty: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = []
    really = service_module.open_own

    async def opens(*words: Any) -> Any:
        stores.append(faulty(await really(*words), seed=5, failing=0.0, yields=20))
        return stores[0]

    async def ask(it: Any, body: bytes, name: str) -> Any:
        while True:
            try:
                return await it.ask(body, inference_id=name)
            except StoreError:
                continue

    async def story() -> None:
        async with bench() as it:
            await it.serving(source=COUNTS, instances=2, retry=Retry(100, first_s=0.01, longest_s=0.02))
            stores[0]._failing = 0.4
            asked = [await ask(it, b"%d" % number, f"n{number}") for number in range(30)]
            ended = [await it.end(record) for record in asked]
            stores[0]._failing = 0.0
            assert {one.state for one in ended} == {"completed"}
            assert max(one.attempts for one in ended) > 1
            for number, one in enumerate(ended):
                assert await it.output(one) == b"%d" % number * 2

    monkeypatch.setattr(service_module, "open_own", opens)
    run(story())


def test_a_full_disk_refuses_what_is_new_and_finishes_what_it_had_when_there_is_room(
    bench: Any, run: Any, until: Any, small_disk: Any, tmp_path: Path
) -> None:
    async def story(disk: Path) -> None:
        async with bench(data=disk / "data") as it:
            folder = await it.serving(source=WAITS, retry=Retry(100, first_s=0.01, longest_s=0.05))
            asked = [await it.ask(b"long"), *[await it.ask(b"%d" % number) for number in range(5)]]
            await until(lambda: it.now(asked[0]).state == "running")
            with (disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
                while True:
                    ballast.write(bytes(4096))
            with pytest.raises(StoreError):
                await it.ask(bytes(100_000))
            (folder / "go").touch()
            await until(lambda: it.service.endpoints.ready("one")[0].in_flight == 0)  # its end cannot be told yet
            (disk / "ballast").unlink()
            for record in asked:
                assert (await it.end(record)).state == "completed"
                assert it.now(record).duplicates == 0

    with small_disk(tmp_path / "disk", "6m") as disk:
        run(story(disk))


class Jumping(SystemClock):
    """A wall clock that somebody sets."""

    def __init__(self) -> None:
        self.days = 0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(days=self.days)


def test_a_clock_that_is_set_loses_expires_and_repeats_nothing(bench: Any, run: Any, until: Any) -> None:
    async def story() -> None:
        clock = Jumping()
        async with bench(clock=clock) as it:
            folder = await it.serving(source=WAITS)
            asked = [await it.ask(b"long"), await it.ask(b"x", ttl_s=3600.0)]
            await until(lambda: it.now(asked[0]).state == "running")
            for clock.days in (400, -400):
                await asyncio.wrap_future(it.service.state.sweep())
                asked.append(await it.ask(b"y"))
            (folder / "go").touch()
            for record in asked:
                ended = await it.end(record)
                assert (ended.state, ended.attempts, ended.duplicates) == ("completed", 1, 0)
            assert it.service.state.read(ENDPOINTS.get, "one").status == "InService"

    run(story())
