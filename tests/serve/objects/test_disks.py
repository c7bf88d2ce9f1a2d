"""The folder under what befalls disks and processes."""

import asyncio
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from modelwright.clock import SystemClock
from modelwright.errors import BusyError, ObjectError, StoreError
from modelwright.serve.objects import Condition, open_own

LIVES = """
import asyncio, sys
from pathlib import Path
from modelwright.clock import SystemClock
from modelwright.serve.objects import open_own

async def body(number):
    for piece in range(40):
        yield bytes([number % 256]) * 100_000

async def main():
    objects = await open_own(Path(sys.argv[1]), SystemClock(), lambda: "u")
    for number in range(1000):
        await objects.put("things", f"k{number % 3}", body(number))
        print(number, flush=True)

asyncio.run(main())
"""

GROWS = """
import asyncio, resource, sys
from pathlib import Path
from modelwright.clock import SystemClock
from modelwright.serve.objects import open_own

async def body():
    for _ in range(300):
        yield bytes(1_000_000)

def peak():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) // 1000

async def main():
    objects = await open_own(Path(sys.argv[1]), SystemClock(), lambda: "u")
    await objects.create_bucket("things")
    before = peak()
    await objects.put("things", "big", body())
    await objects.copy(("things", "big"), ("things", "copy"))
    upload = await objects.parts.create("things", "joined")
    part = await objects.parts.put("u", 1, body())
    await objects.parts.complete("u", [(1, part.etag)])
    read = 0
    async for piece in (await objects.get("things", "joined")).body:
        read += len(piece)
    print(read, peak() - before)

asyncio.run(main())
"""


def emptied(store: Path) -> bool:
    """Whether nothing stays of what was begun; obstore removes that in a thread of its own."""
    for _ in range(1000):
        if not any(path.is_file() for path in (store / "staging").rglob("*")):
            return True
        threading.Event().wait(0.01)
    return False


def test_300_megabytes_are_put_copied_joined_and_read_in_a_few_megabytes_of_memory(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", GROWS, tmp_path / "store"], capture_output=True, text=True, check=True)
    read, grown = map(int, done.stdout.split())
    assert read == 300_000_000
    assert grown < 60  # megabytes


def test_a_put_that_is_killed_leaves_the_old_object_or_the_new_one(run, stored, tmp_path: Path) -> None:
    stored.close()
    for told in (0, 1, 4, 9):
        writer = subprocess.Popen([sys.executable, "-c", LIVES, tmp_path / "store"], stdout=subprocess.PIPE, text=True)
        last = next(int(line) for line in writer.stdout if int(line) >= told)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        last = max([last, *map(int, writer.stdout.read().split())])
        objects = run(open_own(tmp_path / "store", SystemClock(), lambda: "u"))
        assert not any(path.is_file() for path in (tmp_path / "store" / "staging").rglob("*"))
        for entry in run(objects.list("things")).entries:
            content = run(run(objects.get("things", entry.key)).read())
            assert len(content) == entry.size == 4_000_000
            assert len(set(content)) == 1
        number = run(run(objects.get("things", f"k{last % 3}")).read())[0]
        assert number in (last, last + 3)  # what was acknowledged, or a later one
        objects.close()


def test_a_full_disk_refuses_and_keeps_what_was_there(run, tmp_path: Path, small_disk) -> None:
    with small_disk(tmp_path / "disk", "2m") as disk:
        objects = run(open_own(disk / "store", SystemClock(), lambda: "u"))
        run(objects.create_bucket("things"))
        run(objects.put("things", "k", b"old"))

        async def much():
            for _ in range(40):
                yield bytes(100_000)

        upload = run(objects.parts.create("things", "parts"))
        for coroutine in (
            lambda: objects.put("things", "k", much()),
            lambda: objects.put("things", "new", much(), condition=Condition(absent=True)),
            lambda: objects.parts.put(upload.id, 1, much()),
        ):
            with pytest.raises(StoreError, match="must take and give bytes"):
                run(coroutine())
        assert run(run(objects.get("things", "k")).read()) == b"old"
        assert [entry.key for entry in run(objects.list("things")).entries] == ["k"]
        assert emptied(disk / "store")
        run(objects.put("things", "fits", bytes(1_500_000)))  # the room was given back
        objects.close()


def test_a_put_that_is_cancelled_leaves_nothing(run, stored, tmp_path: Path) -> None:
    async def main() -> None:
        begun = asyncio.Event()

        async def endless():
            yield bytes(3_000_000)
            begun.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(stored.put("things", "k", endless()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert run(stored.list("things")).entries == ()
    assert emptied(tmp_path / "store")


def test_one_process_owns_the_folder(run, stored, tmp_path: Path) -> None:
    with pytest.raises(BusyError, match="one process at a time"):
        run(open_own(tmp_path / "store", SystemClock(), lambda: "u"))
    stored.close()
    run(open_own(tmp_path / "store", SystemClock(), lambda: "u")).close()


def test_all_is_there_again_after_a_restart(run, stored, tmp_path: Path) -> None:
    entry = run(stored.put("things", "k", b"kept"))
    upload = run(stored.parts.create("things", "begun"))
    part = run(stored.parts.put(upload.id, 1, b"part"))
    stored.close()
    again = run(open_own(tmp_path / "store", SystemClock(), lambda: "u"))
    assert run(again.head("things", "k")) == entry
    assert again.buckets() == stored.buckets()
    assert run(again.parts.parts(upload.id)) == (part,)
    run(again.parts.complete(upload.id, [(1, part.etag)]))
    assert run(run(again.get("things", "begun")).read()) == b"part"
    again.close()


@pytest.mark.parametrize(
    "damage", [lambda old: old[:-1], lambda old: b"", lambda old: b"hello" + old, lambda old: b"x" * 99]
)
def test_a_damaged_file_is_told_of(run, stored, tmp_path: Path, damage) -> None:
    run(stored.put("things", "k", b"content"))
    file = tmp_path / "store" / "objects" / "things" / "k$"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(StoreError, match="wrote, and whole") as told:
        run(stored.get("things", "k"))
    assert not isinstance(told.value, ObjectError)
    run(stored.put("things", "k", b"again"))
    assert run(run(stored.get("things", "k")).read()) == b"again"
