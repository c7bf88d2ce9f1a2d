"""Starting an instance: it tells where it listens and when it is ready, and what is amiss when it cannot be."""

import asyncio
import contextlib
import os
from typing import NoReturn

import msgspec

from modelwright.errors import InstanceError
from modelwright.serve.instances.instance import HOST, Instance, Launch
from modelwright.serve.instances.record import Record

_LONGEST_LINE = 64 * 1024


class _Told(msgspec.Struct):
    """A line on the pipe: the port, then that it is ready, or why it failed."""

    port: int = 0
    ready: bool = False
    failed: str = ""


async def start_instance(launch: Launch, *, patience_s: float = 300.0) -> Instance:
    """A new instance that is ready: it has loaded its model, and answered GET /ping.

    Args:
        launch: how it is started.
        patience_s: seconds that it has to become ready.

    Raises:
        InstanceError: "unready": it ended, failed to load, or was not ready in time; it is gone then.
        OSError: no process can be started, or its record not be written.
    """
    tell, told = os.pipe()
    held, lifeline = os.pipe()
    try:
        instance = await _spawned(launch, told, held, lifeline)
    except BaseException:
        for pipe in (tell, lifeline):
            os.close(pipe)
        raise
    finally:
        os.close(told)
        os.close(held)
    try:
        async with asyncio.timeout(patience_s):
            await _become_ready(instance, tell)
    except BaseException as failure:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(instance.kill())
        if isinstance(failure, TimeoutError):
            _refuse(instance, f"an instance must be ready within {patience_s:g} seconds")
        raise
    return instance


async def _spawned(launch: Launch, told: int, held: int, lifeline: int) -> Instance:
    record = Record(launch.record, launch.record_bytes)
    given = ("--model", launch.folder, "--host", HOST, "--port", "0", "--tell", str(told), "--lifeline", str(held))
    handler = ("--handler", launch.handler) if launch.handler else ()
    try:
        child = await asyncio.create_subprocess_exec(
            *(*launch.command, *given, *handler, *launch.options),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=(told, held),
            start_new_session=True,  # so that Ctrl-C in a terminal reaches the server alone, which drains them first
            env=launch.environment,
        )
    except BaseException:
        record.close()
        raise
    return Instance(child, lifeline, record)


async def _become_ready(instance: Instance, tell: int) -> None:
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(tell, "rb", 0))
    try:
        while True:
            try:
                line = await reader.readuntil(b"\n")
                said = msgspec.json.decode(line, type=_Told)
            except asyncio.IncompleteReadError:
                ending = await instance.ended()
                _refuse(instance, f"an instance must load its model, but {ending}")
            except (asyncio.LimitOverrunError, msgspec.DecodeError):
                _refuse(instance, "an instance must tell its port and readiness as lines of JSON")
            if said.failed:
                await instance.ended()
                _refuse(instance, f"an instance must load its model, but {said.failed}")
            instance.port = said.port or instance.port
            if said.ready:
                break
    finally:
        transport.close()
    if not await instance.ping():
        _refuse(instance, "an instance that is ready must answer GET /ping with 200")


def _refuse(instance: Instance, rule: str) -> NoReturn:
    way_out = f"It wrote last: {instance.last_lines()}" if instance.last_lines() else "It wrote nothing."
    raise InstanceError("unready", rule, where=instance.address, way_out=way_out)
