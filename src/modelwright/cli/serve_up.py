"""The action `serve up`: a whole service in one process, until it is interrupted."""

import argparse
import asyncio
import ipaddress
import json
import logging
import logging.handlers
import os
import re
import secrets
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright.cli.serve_site import PORT
from modelwright.clock import SystemClock
from modelwright.errors import SettingError

if TYPE_CHECKING:
    from modelwright.serve.service import Service, Site

_HOST = "127.0.0.1"
_LOG_BYTES, _LOGS = 10 * 1024 * 1024, 5
_INTERRUPTED = 130
_SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|CREDENTIAL|^AWS_|_KEY$|^MODELWRIGHT_")

_EPILOG = """examples:
  modelwright serve up --data service
  modelwright serve up --data service --time-factor 60        cooldowns of minutes pass in seconds
  modelwright serve up --data service --host 0.0.0.0 --keys keys.json

Clients of AWS use it unchanged: export AWS_ENDPOINT_URL=http://127.0.0.1:8080. Ctrl-C lets finish what runs, a second
one stops; what waits stays in the queue either way. Keys are a JSON object, id -> secret, in a file that only you can
read."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare place, address and settings."""
    parser.epilog = _EPILOG
    add = parser.add_argument
    add(
        "--data", type=Path, required=True, metavar="DIR", help="state, objects, models and logs; made if there is none"
    )
    add("--host", default=_HOST, metavar="ADDRESS", help="one that others reach needs --keys (default: %(default)s)")
    add("--port", type=int, default=PORT, metavar="N", help="0 for any that is free (default: %(default)s)")
    add("--keys", type=Path, metavar="FILE", help="access keys, which requests must then be signed with")
    add("--base", metavar="URL", help="of the service as receivers of messages reach it (default: where it listens)")
    add("--database", default="", metavar="URL", help="postgresql://... that several servers share")
    add("--store", default="", metavar="URL", help="of an S3-compatible service in place of the folder; needs --bucket")
    add("--bucket", default="", metavar="NAME", help="there, for inputs that come with their requests")
    add("--time-factor", type=float, default=1.0, metavar="X", help="scaling's time goes by X times faster")
    add("--region", default="us-east-1", metavar="NAME", help="that stands in ARNs (default: %(default)s)")
    add("--most-instances", type=int, default=64, metavar="N", help="of this machine at once (default: %(default)s)")
    add("--ray", default="", metavar="ADDRESS", help="of a Ray cluster, on whose machines instances run")
    add("--private", action="store_true", help="with keys: messages may go to this machine and its network, too")


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal comes, and return the exit code."""
    from modelwright.serve.service import Site  # of the extra "serve", with much that no other action needs

    keys = _keys(arguments.keys)
    if not keys and not _loopback(arguments.host):
        way_out = "Name a file of --keys, or listen at 127.0.0.1."
        raise SettingError(
            "a server that others reach must have keys", where="--host", value=arguments.host, way_out=way_out
        )
    site = Site(
        arguments.data,
        region=arguments.region,
        time_factor=arguments.time_factor,
        database=arguments.database,
        ray=arguments.ray,
        store=arguments.store,
        store_settings=_store_settings() if arguments.store else {},
        bucket=arguments.bucket,
        most_instances=arguments.most_instances,
        environment=_environment(ray=bool(arguments.ray)),
        allow_files=not keys,
        private=not keys or arguments.private,
    )
    arguments.data.mkdir(parents=True, exist_ok=True)
    _log_to(arguments.data / "serve.log")
    return asyncio.run(_serve(arguments, site, keys))


async def _serve(arguments: argparse.Namespace, site: "Site", keys: Mapping[str, str]) -> int:
    from modelwright.serve.aws import Access, AwsApp
    from modelwright.serve.console import console
    from modelwright.serve.front import listening, served
    from modelwright.serve.service import deliverer, open_service
    from modelwright.serve.watching import Watch
    from modelwright.web.serving import serving_pages

    heard = listening(arguments.host, arguments.port)
    host, port = heard.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    told = asyncio.Event()
    token = secrets.token_urlsafe(24) if keys else ""
    deliver = deliverer(arguments.base or url, site)
    async with open_service(site, SystemClock(), lambda: secrets.token_hex(8), deliver) as service:
        watch = Watch(service)
        access = Access(keys, frozenset({arguments.host.lower()}))
        others = console(service, watch, access, token=token, drain=told.set, pages=serving_pages())
        watching = asyncio.create_task(watch.run())
        async with served(AwsApp(service, access, others), heard):
            _listen_for_signals(told)
            _say(url, token)
            await told.wait()
            await _drained(service)
        watching.cancel()
    return 0


def _listen_for_signals(told: asyncio.Event) -> None:
    """The first signal drains; the second ends the process, and with it its instances."""

    def signalled() -> None:
        if told.is_set():
            os._exit(_INTERRUPTED)  # what runs goes on at the next start
        told.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled)


async def _drained(service: "Service") -> None:
    """Let finish what runs, and tell how far that is."""
    draining = asyncio.create_task(service.drain())
    before = -1
    while not draining.done():
        running = service.dispatcher.running
        if running != before:
            before = running
            print(f"draining: {running} running; Ctrl-C again stops at once", file=sys.stderr, flush=True)
        await asyncio.wait({draining}, timeout=0.5)
    await draining
    print("drained", file=sys.stderr, flush=True)


def _say(url: str, token: str) -> None:
    page = f"{url}/-/{f'#{token}' if token else ''}"
    print(f"serving at {url}\n  export AWS_ENDPOINT_URL={url}\n  page: {page}", flush=True)


def _keys(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        if path.stat().st_mode & 0o077:
            way_out = f"chmod 600 {path}"
            raise SettingError("a file of keys must be its owner's alone", where=str(path), way_out=way_out)
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as failure:
        raise SettingError(f"a file of keys must be readable ({failure})", where=str(path)) from failure
    fine = isinstance(found, dict) and found and all(isinstance(one, str) and one for one in found.values())
    if not fine:
        raise SettingError('a file of keys must read {"ID": "secret", ...}', where=str(path))
    return dict(found)


def _environment(*, ray: bool) -> dict[str, str]:
    """What instances are given: no secrets, but for Ray's own where they stand for instances on its machines."""
    own = os.environ.items()
    return {name: value for name, value in own if not _SECRET.search(name) or (ray and name.startswith("RAY_"))}


def _store_settings() -> dict[str, str]:
    """The keys of the store elsewhere, as AWS's own clients take them from the environment."""
    names = {"access_key_id": "AWS_ACCESS_KEY_ID", "secret_access_key": "AWS_SECRET_ACCESS_KEY", "region": "AWS_REGION"}
    return {key: os.environ[name] for key, name in names.items() if os.environ.get(name)}


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _log_to(path: Path) -> None:
    """One line of JSON an event, in files that are turned over."""
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=_LOGS, encoding="utf-8")
    handler.setFormatter(_Lines())
    logger = logging.getLogger("modelwright.serve")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


class _Lines(logging.Formatter):
    """Events as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {"at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S"), "level": record.levelname.lower()}
        line |= {"event": record.getMessage(), **getattr(record, "fields", {})}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
