"""The server that AWS's own clients are pointed at."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="module")
def server(serve: Callable[..., Any]) -> Any:
    """A server without keys."""
    return serve(time_factor=60.0)
