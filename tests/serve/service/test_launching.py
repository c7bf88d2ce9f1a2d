"""What a model's environment asks for is what its instances are started with."""

from pathlib import Path
from typing import Any

import pytest

from modelwright.errors import RecordError
from modelwright.records import ModelRecord
from modelwright.serve.instances import Launch
from modelwright.serve.service import Site
from modelwright.serve.service.launching import launch_of


def launched(variables: dict[str, str], concurrency: int = 1, **site: Any) -> Launch:
    model = ModelRecord("model", environment=variables)
    return launch_of(Site(Path("data"), **site), model, Path("folder"), Path("record"), concurrency)


def option(launch: Launch, name: str) -> str:
    words = [*launch.command, *launch.options]
    return words[words.index(name) + 1]


@pytest.mark.parametrize(("concurrency", "batch", "at_once"), [(1, 1, 1), (8, 1, 8), (8, 4, 2), (4, 8, 1), (9, 4, 2)])
def test_calls_together_and_at_once_are_no_more_than_it_is_given(concurrency: int, batch: int, at_once: int) -> None:
    launch = launched({"MODELWRIGHT_MAX_BATCH": str(batch)}, concurrency)
    assert int(option(launch, "--concurrency")) == at_once
    assert int(option(launch, "--waiting")) + at_once > concurrency
    assert ("--max-batch" in launch.options) is (batch > 1)


@pytest.mark.parametrize("value", ["none", "0", "-1", "nan", "1e9"])
def test_a_batch_that_is_no_number_is_told(value: str) -> None:
    with pytest.raises(RecordError, match="MODELWRIGHT_MAX_BATCH must be a number of 1 or more"):
        launched({"MODELWRIGHT_MAX_BATCH": value})


def test_on_a_cluster_the_models_own_variables_are_sent_and_no_others() -> None:
    launch = launched({"WORD": "far", "MODELWRIGHT_GPUS": "0.5"}, ray="auto", environment={"PATH": "/bin"})
    assert option(launch, "--ray") == "auto"
    assert option(launch, "--gpus") == "0.5"
    sent = [launch.command[place + 1] for place, word in enumerate(launch.command) if word == "--variable"]
    assert sent == ["MODELWRIGHT_GPUS", "WORD"]
    assert launched({}).command == Launch.command
