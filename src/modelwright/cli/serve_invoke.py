"""The action `serve invoke`: an endpoint is asked, and its answer fetched where that is wanted."""

import argparse
import mimetypes
import sys
from pathlib import Path
from urllib.parse import quote

from modelwright.cli.serve_site import add_site, client_of
from modelwright.clock import pause
from modelwright.errors import SettingError, StoreError
from modelwright.serve.client import Client, invoke

_EPILOG = """examples:
  modelwright serve invoke summarizer article.txt --wait
  echo '{"inputs": "..."}' | modelwright serve invoke summarizer -"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare endpoint, input and form."""
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("endpoint", metavar="ENDPOINT", help="its name")
    add("input", metavar="FILE", help="the input; - for the standard input")
    add("--content-type", metavar="TYPE", help="of the input (default: by the file's name, or application/json)")
    add("--accept", default="", metavar="TYPE", help="of the answer (default: the model's own)")
    add("--id", default="", metavar="ID", help="of the request; asking twice under one id is asking once")
    add("--wait", action="store_true", help="wait for the answer of a queued request, and print it")
    add_site(add)


def run(arguments: argparse.Namespace) -> int:
    """Ask, print, and return the exit code."""
    client = client_of(arguments)
    path = Path(arguments.input)
    if arguments.input != "-" and not path.is_file():
        raise SettingError("an input must be a file", value=arguments.input)
    body = sys.stdin.buffer.read() if arguments.input == "-" else path.read_bytes()
    kind = arguments.content_type or mimetypes.guess_type(path.name)[0] or "application/json"
    done = invoke(client, arguments.endpoint, body, kind, arguments.accept, arguments.id)
    if not done.inference_id:
        _write(done.body)
    elif arguments.wait:
        _write(_answer(client, arguments.endpoint, done.inference_id, done.output))
    else:
        print(f"{done.inference_id} {done.output}")
    return 0


def _answer(client: Client, endpoint: str, inference_id: str, output: str) -> bytes:
    """The answer of a queued request, once it is there.

    Raises:
        StoreError: the request came to another end.
    """
    print(f"waiting for {inference_id}", file=sys.stderr)
    wait_s = 0.05
    while True:
        one = client.told(f"/-/api/requests/{quote(endpoint)}/{quote(inference_id)}")
        if one["state"] == "completed":
            return client.get(output)
        if one["state"] not in ("queued", "running"):
            rule = f"a request must be answered, and this one is {one['state']}: {one['reason']}"
            raise StoreError(rule, where=f"{endpoint}, {inference_id}")
        pause(wait_s)
        wait_s = min(wait_s * 1.5, 2.0)


def _write(content: bytes) -> None:
    sys.stdout.buffer.write(content)
    if content and not content.endswith(b"\n") and sys.stdout.isatty():
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()
