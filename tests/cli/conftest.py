"""A search that takes seconds, by the command itself: networks of two blocks, on a hundred digits, for this machine."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

TINY = """
name = "tiny"
makes = "modelwright.search.spaces.mbconv:mbconv"
stages = 2

[fixed]
classes = 10
image_channels = 1
side = 8
resolution = 8
kernel = 3
repeats = 1
width = [8, 16]
stride = [1, 2]
activation = "relu"
"stem.width" = 8
"stem.activation" = "relu"
"head.width" = 16

[[choice]]
name = "expansion"
per = "stage"
values = [1, 2, 4]

[[choice]]
name = "kernel"
per = "stage"
stages_only = [2]
values = [3, 5]
"""

Search = Callable[..., int]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Words that make a search small: four candidates of a space of eighteen, one network wanted."""
    file = tmp_path_factory.mktemp("space") / "tiny.toml"
    file.write_text(TINY, encoding="utf-8")
    words = "--trials 4 --images 100 --epochs 1 --final-epochs 1 --family 1 --threads 1"
    return ["--space", str(file), *words.split()]


@contextmanager
def little_measured() -> Iterator[None]:
    """What is measured is measured a little, and one small network stands for all references."""
    import torch

    from modelwright.networks.measuring import Protocol
    from modelwright.search.space import make

    def references(costs: Any, data: Any, members: Sequence[float]) -> list[Any]:
        space = costs.plan.space
        return [make(space, {choice.name: choice.values[0] for choice in space.choices}, "reference")]

    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modelwright.search.family.references", references)
        patch.setattr("modelwright.search.desk.PROTOCOL", Protocol(repetitions=3, warmup=1, minimum_s=1e-3))
        patch.setattr("modelwright.search.desk.CALIBRATED_BY", 4)
        yield
    torch.set_num_threads(before)


@pytest.fixture
def quick() -> Iterator[None]:
    """Little is measured while the test runs."""
    with little_measured():
        yield


@pytest.fixture(scope="session")
def searched(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of such a search that has ended. Tests change copies of it only."""
    from modelwright.cli.main import main

    folder = tmp_path_factory.mktemp("searched") / "found"
    with little_measured():  # ends here: other tests of this process measure as users do
        assert main(["search", *tiny, "--output", str(folder)]) == 0
    return folder


@pytest.fixture
def command_environment() -> dict[str, str]:
    """For a command in a process of its own."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}
