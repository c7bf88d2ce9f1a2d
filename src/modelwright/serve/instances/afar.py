"""An instance on another machine of a Ray cluster, and the process that stands for it here.

    python -m modelwright.serve.instances.afar --ray auto --model FOLDER --port 8080

It takes the runner's words and stands in its place: an actor (Moritz et al., 2018, arXiv 1712.05889) is made on
whichever machine has room, the model's files are sent there, and every connection that comes here is led to the
instance there. When this process dies, however that happens, Ray ends the actor, and with it the instance; when the
actor or its machine dies, this process ends. So whoever holds this process holds the instance.
"""

import argparse
import asyncio
import contextlib
import importlib
import io
import itertools
import os
import signal
import sys
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final

from modelwright.serve.instances.guest import PIECE, Guest
from modelwright.serve.instances.parent import end_with_parent, tell

RAY_S = 25.0
"""Seconds that a guest has for what it is at when it is told to end; whoever told this process waits some longer."""

_UNLOADABLE = 3


def main(words: Sequence[str]) -> int:
    """Stand for one instance until it ends, or is told to; the exit code."""
    arguments, rest = _parser().parse_known_args(words)
    end_with_parent(arguments.lifeline)
    ray = importlib.import_module("ray")
    try:
        ray.init(address=arguments.ray, logging_level="ERROR", log_to_driver=False, namespace="modelwright")
    except ConnectionError as failure:
        tell(arguments.tell, {"failed": f"no Ray cluster answers at {arguments.ray}: {failure}"})
        return _UNLOADABLE
    return asyncio.run(_stand(ray, arguments, rest))


async def _stand(ray: Any, arguments: argparse.Namespace, rest: Sequence[str]) -> int:
    needs = {"num_cpus": arguments.cpus, "num_gpus": arguments.gpus, "max_restarts": 0, "max_concurrency": 1000}
    actor = ray.remote(Guest).options(**needs).remote(_environment)
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    stopping = asyncio.create_task(told.wait())
    starting = asyncio.create_task(_started(actor, arguments, rest))
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        os._exit(0)
    failure = starting.exception()
    why = starting.result() if failure is None else f"its machine failed: {failure}"
    if why:
        tell(arguments.tell, {"failed": why[:2000]})
        return _UNLOADABLE
    broken: type[Exception] = ray.exceptions.RayError
    server = await asyncio.start_server(_Relay(actor, broken).lead, arguments.host, arguments.port)
    ended = asyncio.create_task(_ended(actor, broken))
    tell(arguments.tell, {"port": server.sockets[0].getsockname()[1], "ready": True})
    await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
    code = 1 if ended.done() else 0
    if not ended.done():
        with contextlib.suppress(broken):  # its machine may be gone
            await actor.stop.remote(RAY_S)
    sys.stdout.write(f"{await ended}\n")
    sys.stdout.flush()
    return code


async def _started(actor: Any, arguments: argparse.Namespace, rest: Sequence[str]) -> str:
    """Send the model and start it; why there is no instance, or ""."""
    await asyncio.to_thread(_packed, arguments.model, lambda piece: actor.take.remote(piece).future().result())
    variables = {name: os.environ[name] for name in arguments.variable if name in os.environ}
    handler = ("--handler", arguments.handler) if arguments.handler else ()
    why: str = await actor.start.remote((*handler, *rest), variables)
    return why


async def _ended(actor: Any, broken: type[Exception]) -> str:
    try:
        how: str = await actor.ended.remote()
    except broken as failure:  # the actor, its process or its machine is gone
        return f"its machine failed: {failure}"
    return how


def _packed(folder: Path, hand_over: Callable[[bytes], None]) -> None:
    """A folder's files as a tar file, in pieces."""
    with io.BufferedWriter(_Pieces(hand_over), PIECE) as file, tarfile.open(fileobj=file, mode="w|") as made:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                made.add(path, path.relative_to(folder).as_posix(), recursive=False)


@final
class _Pieces(io.RawIOBase):
    """A file to write to, each piece of which is handed over."""

    def __init__(self, hand_over: Callable[[bytes], None]) -> None:
        self._hand_over = hand_over

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, content: Any) -> int:
        """Hand a piece over."""
        piece = bytes(content)
        self._hand_over(piece)
        return len(piece)


@final
class _Relay:
    """Leads connections to the instance, each under a number of its own."""

    def __init__(self, actor: Any, broken: type[Exception]) -> None:
        self._actor = actor
        self._broken = (broken, OSError)
        self._numbers = itertools.count(1)

    async def lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Lead one connection, until the instance has ended it; one that breaks there breaks here."""
        line = next(self._numbers)
        there = None
        try:
            await self._actor.connect.remote(line)
            there = asyncio.create_task(self._there(line, reader))
            await self._back(line, writer)
        except self._broken:
            writer.transport.abort()
        finally:
            if there is not None:
                there.cancel()
            writer.close()
            with contextlib.suppress(*self._broken):
                await self._actor.close.remote(line)

    async def _there(self, line: int, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(*self._broken):  # then the other way is broken, too
            piece = b" "
            while piece:
                piece = await reader.read(PIECE)
                await self._actor.send.remote(line, piece)

    async def _back(self, line: int, writer: asyncio.StreamWriter) -> None:
        while piece := await self._actor.receive.remote(line):
            writer.write(piece)
            await writer.drain()


def _environment() -> dict[str, str]:
    """The variables of whichever machine this is called on."""
    return dict(os.environ)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="modelwright.serve.instances.afar", description=__doc__, allow_abbrev=False)
    parser.add_argument("--ray", required=True, help="address of the cluster, such as auto or 10.0.0.1:6379")
    parser.add_argument("--cpus", type=float, default=1, help="that Ray sets aside for it")
    parser.add_argument("--gpus", type=float, default=0, help="that Ray sets aside for it")
    parser.add_argument(
        "--variable", action="append", default=[], metavar="NAME", help="of this environment, sent along"
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of the model, unpacked")
    parser.add_argument("--handler", default="", help="module:attribute that loads it; by default what fits the folder")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0 for one that is free")
    parser.add_argument("--tell", type=int, help="file descriptor to tell port and readiness on")
    parser.add_argument("--lifeline", type=int, help="file descriptor whose end of file ends the process")
    return parser


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
