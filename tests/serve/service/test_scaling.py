"""The autoscaler as it is driven: at once from none, by a clock that goes faster, and on from what was written down."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.records import ScalableTargetRecord
from modelwright.records.autoscaling import Reading, ScalableTarget, TargetTracking
from modelwright.serve.scalables import activities_of, put_policy, register_target, resource_of
from modelwright.serve.service import scaler
from modelwright.serve.service.scaler import as_wanted
from modelwright.serve.state import ENDPOINTS, INSTANCES, endpoint_dimensions, series, set_variants

NAME = resource_of("one", "main")

BLOCKED = """
    import pathlib, time
    def model_fn(folder):
        return pathlib.Path(folder)
    def transform_fn(model, body, content_type, accept):
        while body == b"long" and not (model / "go").exists():
            time.sleep(0.005)
        return body
"""

WORN = """
    import pathlib
    def model_fn(folder):
        if (pathlib.Path(folder) / "worn").exists():
            raise OSError("worn out")
        return None
    def transform_fn(model, body, content_type, accept):
        import os
        if body == b"crash":
            os._exit(1)
        return body
"""


async def target(it: Any, least: int, most: int, **settings: Any) -> None:
    made = ScalableTargetRecord(NAME, "one", "main", ScalableTarget(least, most))
    await it.service.ledger.do(register_target, made)
    policy = TargetTracking("track", 1.0, **settings)
    await it.service.ledger.do(put_policy, NAME, policy, "arn:track")
    it.service.poke()


def test_the_first_request_brings_an_instance_at_once(
    bench: Any, run: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next look of its own would be a day later."""
    monkeypatch.setattr(scaler, "INTERVAL_S", 86_400.0)

    async def story() -> None:
        async with bench() as it:
            await it.serving(instances=0)
            await target(it, 0, 2)
            assert (await it.end(await it.ask())).state == "completed"
            acts = await it.service.ledger.read(activities_of, NAME)
            assert [(one.activity.before, one.activity.after) for one in acts] == [(0, 1)]

    run(story())


class LeftError(Exception):
    """Ends a service without a drain, which would wait for the request."""


@given(ready=st.integers(0, 5), starting=st.integers(0, 5), draining=st.integers(0, 5), wanted=st.integers(0, 8))
def test_what_was_decided_counts_before_it_is_carried_out(
    ready: int, starting: int, draining: int, wanted: int
) -> None:
    read = Reading(0.0, 3, 2, ready, starting, draining)
    after = as_wanted(read, wanted)
    assert after.instances + after.starting == wanted
    assert after.instances == min(ready, wanted)
    assert after.draining == draining + max(0, ready + starting - wanted)
    assert as_wanted(after, wanted) == after


def test_cooldowns_outlast_the_server(bench: Any, run: Any, until: Any) -> None:
    """A new server knows that capacity has just been taken away or added, and waits as the old one would have."""

    async def first() -> None:
        async with bench(time_factor=50.0) as it:
            await it.serving(source=BLOCKED, instances=0)
            await target(it, 0, 3, scale_out_cooldown_s=100_000.0, scale_in_cooldown_s=100_000.0)
            await it.ask(b"long")
            await until(lambda: it.service.endpoints.ready("one"))
            await until(lambda: it.service.state.read(activities_of, NAME)[0].ended_at is not None)
            raise LeftError

    async def second() -> None:
        async with bench(time_factor=50.0) as it:
            await until(lambda: it.service.endpoints.ready("one"))
            history = await until(lambda: it.service.scaler._histories.get(NAME))
            assert [(one.before, one.after) for one in history.activities] == [(0, 1)]
            assert history.activities[0].ended <= it.service.state.now().t * 50.0
            (it.folder / "models" / "one" / "go").touch()
            await until(lambda: not it.service.dispatcher.running)
            assert it.service.state.read(ENDPOINTS.get, "one").variants[0].instances == 1

    with pytest.raises(LeftError):
        run(first())
    run(second())


def test_an_endpoint_says_why_it_lacks_instances_until_it_has_them_again(bench: Any, run: Any, until: Any) -> None:
    async def story() -> None:
        async with bench() as it:
            folder = await it.serving(source=WORN)
            (folder / "worn").touch()
            crew = it.service.endpoints.stands["one"].crews["main"]
            [member] = crew.ready
            await member.instance.kill()
            now = await until(
                lambda: (found := it.service.state.read(ENDPOINTS.get, "one")).reason and found, patience_s=120
            )
            assert now.status == "InService"
            assert "worn out" in now.reason
            (folder / "worn").unlink()
            await until(lambda: not it.service.state.read(ENDPOINTS.get, "one").reason)
            assert crew.ready

    run(story())


def test_calls_are_taken_in_the_order_in_which_they_came_and_counted(bench: Any, run: Any, until: Any) -> None:
    async def story() -> None:
        async with bench() as it:
            folder = await it.serving(source=BLOCKED, real_time=True)
            done: list[int] = []

            async def call(number: int, body: bytes) -> None:
                async with it.service.call("one", "", (), body, 60.0) as (answer, _):
                    await answer.read()
                    done.append(number)

            calls = [asyncio.create_task(call(0, b"long"))]
            [member] = it.service.endpoints.ready("one")
            await until(lambda: member.in_flight == 1)
            for number in range(1, 6):
                calls.append(asyncio.create_task(call(number, b"")))
                await until(lambda number=number: len(it.service.realtime._queues["one"]) == number)
            calls[3].cancel()  # gives up while it waits
            (folder / "go").touch()
            await asyncio.gather(*calls, return_exceptions=True)
            assert done == [0, 1, 2, 4, 5]
            assert member.in_flight == 0
            await it.service.drain()
            where, span = endpoint_dimensions("one", "main"), (0.0, 1e12)
            counted = it.service.state.read(series, "AWS/SageMaker", "Invocations", where, span)
            assert sum(point.total for point in counted) == 5

    run(story())


def test_more_instances_than_the_machine_may_have_wait_for_a_place(bench: Any, run: Any, until: Any) -> None:
    async def story() -> None:
        async with bench(most_instances=1) as it:
            await it.serving(instances=1)
            await it.service.ledger.do(set_variants, "one", {"main": (2, None)})
            it.service.poke()
            await until(lambda: len(it.service.endpoints.stands["one"].crews["main"].members) == 2)
            assert (await it.end(await it.ask())).state == "completed"
            assert len(it.service.state.read(INSTANCES.all)) == 1
            assert it.service.state.read(ENDPOINTS.get, "one").status == "InService"

    run(story())
