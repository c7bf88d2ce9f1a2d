"""A captured graph knows addresses only: the weights and inputs that it reads must outlive the call it was made of."""

import contextlib
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from modelwright.networks.measuring.prepare import _captured
from modelwright.networks.microbenchmarks import _graph


class _Stream:
    def wait_stream(self, other: object) -> None:
        """Streams of this device are always in step."""


class _Graph:
    def replay(self) -> None:
        """Nothing was recorded."""


@contextlib.contextmanager
def _aside(*given: object) -> Iterator[None]:
    yield


@pytest.fixture(autouse=True)
def a_device_that_runs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of torch.cuda that capturing uses, on a CPU."""
    made: dict[str, Any] = {
        "current_stream": lambda device: _Stream(),
        "Stream": lambda device: _Stream(),
        "stream": _aside,
        "graph": _aside,
        "CUDAGraph": _Graph,
    }
    for name, stands_in in made.items():
        monkeypatch.setattr(torch.cuda, name, stands_in)


def test_what_a_captured_network_reads_lives_as_long_as_its_replay() -> None:
    layer, x = torch.nn.Linear(3, 3), torch.zeros(1, 3)
    watched = [weakref.ref(layer), weakref.ref(x)]

    def call(layer: torch.nn.Module = layer, x: torch.Tensor = x) -> torch.Tensor:
        return layer(x)

    replay = _captured(call, torch.device("cpu"))
    del call, layer, x
    gc.collect()
    assert all(ref() is not None for ref in watched)
    replay()


def test_what_a_captured_chain_writes_to_lives_as_long_as_its_replay() -> None:
    before = {id(found) for found in gc.get_objects() if type(found) is torch.Tensor}
    replay = _graph(3, torch.device("cpu"))
    gc.collect()
    assert any(id(found) not in before for found in gc.get_objects() if type(found) is torch.Tensor)
    replay()
