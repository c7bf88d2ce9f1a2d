"""The action `serve deploy`: a model behind an endpoint of a running service, in one step."""

import argparse
import re
from pathlib import Path

from modelwright.cli.cells import show_note
from modelwright.cli.serve_site import add_site, client_of
from modelwright.clock import pause
from modelwright.errors import SettingError, StoreError
from modelwright.serve.client import Client, Deployment, Scaled, deploy
from modelwright.serve.client.deploying import HANDLER

ARTIFACT = "modelwright.endpoint:load"
"""Handler of what `search` and `quantize` hand over."""

MANIFESTS = ("manifest.json", "quantized.json")
_LABEL = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_EPILOG = """examples:
  modelwright serve deploy model.tar.gz --name summarizer --min 0 --max 5
  modelwright serve deploy found/family/small --name digits --real-time"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare model, endpoint and scaling."""
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="a model.tar.gz, or the folder of a model or artifact")
    add("--name", metavar="NAME", help="of the endpoint (default: the model's)")
    add("--real-time", action="store_true", help="answer at once, without a queue")
    add("--instances", type=int, default=1, metavar="N", help="at the beginning (default: %(default)s)")
    add("--concurrency", type=int, default=1, metavar="N", help="requests that an instance works on at once")
    add("--min", type=int, metavar="N", help="instances at least; 0 lets it sleep")
    add("--max", type=int, metavar="N", help="instances at most; with it, they follow the backlog")
    add("--target", type=float, default=5.0, metavar="N", help="backlog for each instance (default: %(default)s)")
    add("--cooldown", type=int, default=120, metavar="SECONDS", help="after a change (default: %(default)s)")
    add(
        "--env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of the instances' environment; repeat for more",
    )
    add("--success", default="", metavar="TOPIC", help="told of answers: a topic's ARN, or the address of a webhook")
    add("--error", default="", metavar="TOPIC", help="told of failures")
    add("--no-wait", action="store_true", help="do not wait until it is in service")
    add_site(add)


def run(arguments: argparse.Namespace) -> int:
    """Deploy, wait, and return the exit code."""
    client = client_of(arguments)
    wanted = _wanted(arguments)
    deploy(client, wanted, show_note)
    if not arguments.no_wait:
        _wait(client, wanted.name)
    return 0


def _wanted(arguments: argparse.Namespace) -> Deployment:
    name = arguments.name or re.sub(r"[^a-zA-Z0-9]+", "-", arguments.model.name.removesuffix(".tar.gz")).strip("-")
    if not _LABEL.fullmatch(name):
        raise SettingError("a name must be letters, digits and hyphens, 63 at most", where="--name", value=name)
    environment = {}
    for one in arguments.env:
        key, sign, value = one.partition("=")
        if not sign or not key:
            raise SettingError("a variable must read NAME=VALUE", where="--env", value=key)
        environment[key] = value
    if arguments.model.is_dir() and any((arguments.model / one).is_file() for one in MANIFESTS):
        environment.setdefault(HANDLER, ARTIFACT)
    scaled = None
    if arguments.max is not None or arguments.min is not None:
        if arguments.max is None:
            raise SettingError("instances that follow the backlog must have a --max", where="--min")
        if not 0 <= (arguments.min or 0) <= arguments.max or arguments.max < 1:
            told = f"{arguments.min or 0} to {arguments.max}"
            raise SettingError("--min must be 0 or more and no more than --max, which is 1 or more", value=told)
        scaled = Scaled(arguments.min or 0, arguments.max, arguments.target, arguments.cooldown)
    return Deployment(
        arguments.model,
        name,
        asynchronous=not arguments.real_time,
        instances=arguments.instances,
        concurrency=arguments.concurrency,
        environment=environment,
        scaled=scaled,
        success_topic=arguments.success,
        error_topic=arguments.error,
    )


def _wait(client: Client, name: str) -> None:
    """Wait until the endpoint is in service.

    Raises:
        StoreError: it never will be.
    """
    while True:
        one = next((one for one in client.status().endpoints if one.name == name), None)
        if one is None or one.status == "Failed":
            reason = one.reason if one else "it is gone"
            raise StoreError(f"the endpoint must come into service ({reason})", where=name)
        if one.status == "InService":
            show_note(f"{name} is in service: {'a queue' if one.asynchronous else 'it answers at once'}")
            return
        pause(0.3)
