"""Requests go through a service of real processes: each is answered once, whatever scaling and drains do meanwhile."""

import asyncio

import pytest

from modelwright.errors import BusyError, ConflictError, ObjectError, RecordError, UnknownNameError
from modelwright.records import ScalableTargetRecord
from modelwright.records.autoscaling import ScalableTarget, TargetTracking
from modelwright.serve.scalables import activities_of, put_policy, register_target, resource_of
from modelwright.serve.state import ENDPOINTS, INSTANCES, cancel, close_endpoint, instances_of

from .conftest import SLOW, until


def test_every_request_is_answered_once_with_its_own_answer(bench, run) -> None:
    async def story() -> None:
        async with bench() as it:
            await it.serving(instances=2)
            asked = [await it.ask(f"body {number}".encode()) for number in range(40)]
            for number, record in enumerate(asked):
                ended = await it.end(record)
                assert (ended.state, ended.attempts, ended.duplicates) == ("completed", 1, 0)
                assert await it.output(ended) == f"body {number}".encode()
                assert ended.answer is not None
                assert ended.answer.status == 200
            again = await it.ask(b"body 0", inference_id="r1")
            assert again.number == asked[0].number
            with pytest.raises(ConflictError, match="must be the same"):
                await it.ask(b"another", inference_id="r1")

    run(story())
