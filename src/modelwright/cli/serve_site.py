"""Where a service is, and with which keys it is asked: what all actions that talk to one share."""

import argparse
import os
from collections.abc import Callable
from typing import Any

from modelwright.clock import SystemClock
from modelwright.serve.client import Client
from modelwright.serve.signing import Keys

PORT = 8080
URL = f"http://127.0.0.1:{PORT}"
VARIABLES = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""Of the environment: the service's address, and the access key that requests are signed with."""


def add_site(add: Callable[..., Any]) -> None:
    """Declare the service's address."""
    add("--url", metavar="URL", help=f"of the service (default: AWS_ENDPOINT_URL, or {URL})")


def client_of(arguments: argparse.Namespace) -> Client:
    """A client of the service that is asked for; requests are signed where the environment holds a key."""
    url, id, secret, token = (os.environ.get(name, "") for name in VARIABLES)
    keys = Keys(id, secret, token) if id and secret else None
    return Client(arguments.url or url or URL, SystemClock().now, keys)
