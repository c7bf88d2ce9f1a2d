"""One instance: a process that loads a model and answers by the container contract.

    python -m modelwright.serve.instances.runner --model FOLDER --port 8080

It tells on the pipe `--tell` where it listens and whether the model loaded, each as a line of JSON, and ends when the
pipe `--lifeline` closes, which is when its parent dies, however that happens. SIGTERM lets it finish what runs.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, final

import msgspec
import uvicorn

from modelwright.clock import Clock, SystemClock
from modelwright.serve.instances.batching import Desk
from modelwright.serve.instances.contract import Contract
from modelwright.serve.instances.loading import install, load_handler, requirements_of
from modelwright.serve.instances.parent import end_with_parent, tell

_KEEP_ALIVE_S = 3600
_UNLOADABLE = 3


@final
class _Server(uvicorn.Server):
    """A server whose signals are this module's to handle."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


def main(words: Sequence[str]) -> int:
    """Run one instance until it is told to end; its exit code."""
    arguments = _parser().parse_args(words)
    end_with_parent(arguments.lifeline)
    clock = SystemClock()

    def log(line: dict[str, Any]) -> None:
        stamp = {"at": clock.now().isoformat(timespec="milliseconds")}
        sys.stderr.write(msgspec.json.encode(stamp | line).decode() + "\n")
        sys.stderr.flush()

    try:
        return asyncio.run(_serve(arguments, clock, log))
    finally:
        sys.stdout.flush()


async def _serve(arguments: argparse.Namespace, clock: Clock, log: Any) -> int:
    heard = _listening(arguments.host, arguments.port)
    contract = Contract(clock, log)
    config = uvicorn.Config(
        contract,
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        ws="none",
        http="h11",
        lifespan="off",
        timeout_keep_alive=_KEEP_ALIVE_S,
    )
    server = _Server(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, setattr, server, "should_exit", True)
    serving = asyncio.create_task(server.serve([heard]))
    tell(arguments.tell, {"port": heard.getsockname()[1]})
    loading = asyncio.create_task(asyncio.to_thread(_load, arguments, log))
    await asyncio.wait({serving, loading}, return_when=asyncio.FIRST_COMPLETED)
    if not loading.done():
        os._exit(0)  # told to end before it had loaded, which no thread can be stopped from
    if loading.exception() is not None:
        failure = loading.exception()
        log({"level": "error", "event": "load", "error": repr(failure), "trace": "".join(_lines(failure))[-8000:]})
        tell(arguments.tell, {"failed": f"{type(failure).__name__}: {failure}"[:2000]})
        return _UNLOADABLE
    handler = loading.result()
    waiting = arguments.concurrency + arguments.waiting
    contract.desk = Desk(handler, arguments.concurrency, waiting, arguments.max_batch, arguments.max_wait)
    log({"level": "info", "event": "ready", "handler": type(handler).__name__, "batches": handler.batches})
    tell(arguments.tell, {"ready": True})
    await serving
    await contract.desk.close()
    log({"level": "info", "event": "end"})
    return 0


def _listening(host: str, port: int) -> socket.socket:
    """A socket whose connections asyncio sends on without delay (RFC 896), as it does where the protocol is named."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    heard = socket.socket(family, kind, socket.IPPROTO_TCP)
    heard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    heard.bind(address)
    heard.listen(128)
    return heard


def _load(arguments: argparse.Namespace, log: Any) -> Any:
    needed = requirements_of(arguments.model)
    if needed and arguments.packages:
        install(needed, arguments.packages)
    elif needed:
        log({"level": "warning", "event": "requirements", "file": str(needed), "installed": False})
    return load_handler(arguments.model, arguments.handler, os.environ)


def _lines(failure: BaseException | None) -> list[str]:
    return traceback.format_exception(failure) if failure else []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="modelwright.serve.instances.runner", description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", type=Path, required=True, help="folder of the model, unpacked")
    parser.add_argument("--handler", default="", help="module:attribute that loads it; by default what fits the folder")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0 for one that is free")
    parser.add_argument("--concurrency", type=int, default=1, help="calls, or batches, at once")
    parser.add_argument("--waiting", type=int, default=16, help="calls that may wait besides")
    parser.add_argument("--max-batch", type=int, default=1, help="calls answered together, where the handler can")
    parser.add_argument("--max-wait", type=float, default=0.005, help="seconds that a call waits for others")
    parser.add_argument("--packages", type=Path, help="folder to install requirements.txt into; without it none are")
    parser.add_argument("--tell", type=int, help="file descriptor to tell port and readiness on")
    parser.add_argument("--lifeline", type=int, help="file descriptor whose end of file ends the process")
    return parser


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))  # threads of a model may never end
