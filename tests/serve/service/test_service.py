"""Requests go through a service of real processes: each is answered once, whatever scaling and drains do meanwhile."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from modelwright.errors import BusyError, ConflictError, ObjectError, RecordError, UnknownNameError
from modelwright.records import (
    ConfigurationRecord,
    EndpointSettings,
    ModelRecord,
    ScalableTargetRecord,
    VariantRecord,
)
from modelwright.records.autoscaling import ScalableTarget, TargetTracking
from modelwright.serve.scalables import (
    ALARMS,
    TARGETS,
    activities_of,
    put_policy,
    register_target,
    resource_of,
)
from modelwright.serve.state import (
    ENDPOINTS,
    INSTANCES,
    cancel,
    close_endpoint,
    create_configuration,
    create_model,
    set_variants,
    update_endpoint,
)


def test_every_request_is_answered_once_with_its_own_answer(bench: Any, run: Any) -> None:
    async def story() -> None:
        async with bench() as it:
            await it.serving(instances=2)
            asked = [await it.ask(f"body {number}".encode()) for number in range(40)]
            for number, record in enumerate(asked):
                ended = await it.end(record)
                assert (ended.state, ended.attempts, ended.duplicates) == ("completed", 1, 0)
                assert await it.output(ended) == f"body {number}".encode()
                assert ended.answer.status == 200
                assert ended.answer.bytes == len(f"body {number}")
            again = await it.ask(b"body 0", inference_id="r1")
            assert again.number == asked[0].number
            with pytest.raises(ConflictError, match="must be the same"):
                await it.ask(b"another", inference_id="r1")

    run(story())


def test_from_none_to_many_and_back_while_a_long_request_finishes(bench: Any, run: Any, until: Any) -> None:
    """Scale-in during a long request: it finishes, on the instance that it began on."""

    async def story() -> None:
        async with bench(time_factor=100.0) as it:
            folder = await it.serving(source=SLOW, instances=0)
            name = resource_of("one", "main")
            target = ScalableTargetRecord(name, "one", "main", ScalableTarget(0, 3))
            await it.service.ledger.do(register_target, target)
            policy = TargetTracking("track", 1.0, scale_out_cooldown_s=10.0, scale_in_cooldown_s=60.0)
            await it.service.ledger.do(put_policy, name, policy, "arn:track")
            assert it.service.endpoints.ready("one") == []
            first = await it.ask(b"long")
            await until(lambda: it.now(first).state == "running")
            others = [await it.ask(b"x") for _ in range(5)]
            await until(lambda: len(it.service.endpoints.ready("one")) > 1)
            assert {(await it.end(record)).state for record in others} == {"completed"}
            (folder / "go").touch()
            ended = await it.end(first)
            assert (ended.state, ended.attempts) == ("completed", 1)
            await until(lambda: not it.service.endpoints.stands["one"].members)
            await until(lambda: it.service.state.read(INSTANCES.all) == [])
            acts = await it.service.ledger.read(activities_of, name)
            ways = [one.activity.after - one.activity.before for one in acts if one.activity.status == "Successful"]
            assert any(way > 0 for way in ways)
            assert any(way < 0 for way in ways)
            states = {one.name.partition("Alarm")[2][:3]: one.state for one in it.service.state.read(ALARMS.all)}
            assert set(states) == {"Hig", "Low"}

    run(story())


SLOW = """
    import pathlib, time
    def model_fn(folder):
        return pathlib.Path(folder)
    def transform_fn(model, body, content_type, accept):
        while body == b"long" and not (model / "go").exists():
            time.sleep(0.005)
        return body
"""


def test_draining_instances_finish_what_they_have(bench: Any, run: Any, until: Any) -> None:
    async def story() -> None:
        async with bench() as it:
            folder = await it.serving(source=SLOW, instances=2)
            long = await it.ask(b"long")
            await until(lambda: it.now(long).state == "running")
            holder = it.now(long).instance
            await it.service.ledger.do(set_variants, "one", {"main": (0, None)})
            it.service.poke()
            members = it.service.endpoints.stands["one"].crews["main"].members
            await until(lambda: list(members) == [holder])
            assert members[holder].state == "draining"
            assert members[holder].instance.alive
            (folder / "go").touch()
            ended = await it.end(long)
            assert (ended.state, ended.attempts, ended.instance) == ("completed", 1, holder)
            await until(lambda: not members)

    run(story())


def test_a_request_that_is_cancelled_ends_and_its_instance_serves_on(bench: Any, run: Any, until: Any) -> None:
    async def story() -> None:
        async with bench() as it:
            folder = await it.serving(source=SLOW, lease_s=0.2)
            long = await it.ask(b"long")
            await until(lambda: it.now(long).state == "running")
            await it.service.ledger.do(cancel, "one", long.invocation.inference_id)
            waiting = await it.ask(b"next")
            await until(lambda: any(one[0].abandoned for one in it.service.dispatcher._running.values()))
            (folder / "go").touch()
            assert (await it.end(waiting)).state == "completed"
            assert it.now(long).state == "cancelled"
            with pytest.raises(ObjectError):
                await it.output(long)

    run(story())


def test_an_endpoint_changes_its_model_without_a_gap_and_goes_on_where_the_new_one_is_broken(
    bench: Any, run: Any, until: Any
) -> None:
    def answers(word: str) -> str:
        return f'def model_fn(folder):\n    return None\ndef transform_fn(m, body, c, a):\n    return "{word}"'

    async def story() -> None:
        async with bench() as it:
            await it.serving(source=answers("old"))
            do, bucket = it.service.ledger.do, it.service.site.buckets[0]
            for name, source in (
                ("two", answers("new")),
                ("bad", "def model_fn(folder):\n    raise OSError('worn out')"),
            ):
                await do(create_model, ModelRecord(name, str(it.model(name, source))))
                variants = (VariantRecord("main", name, 1),)
                settings = EndpointSettings(f"s3://{bucket}/out/")
                await do(create_configuration, ConfigurationRecord(name, variants, settings))
            seen, busy = [], True

            async def asking() -> None:
                while busy:
                    ended = await it.end(await it.ask(b"x"))
                    assert ended.state == "completed"
                    seen.append((await it.output(ended)).decode())

            asker = asyncio.create_task(asking())
            await until(lambda: seen)
            await do(update_endpoint, "one", "two")
            it.service.poke()
            await until(lambda: "new" in seen)
            await until(lambda: it.status("one") == "InService")
            await do(update_endpoint, "one", "bad")
            it.service.poke()
            await until(lambda: "worn out" in it.service.state.read(ENDPOINTS.get, "one").reason)
            now = it.service.state.read(ENDPOINTS.get, "one")
            assert (now.status, now.configuration) == ("InService", "two")
            count = len(seen)
            await until(lambda: len(seen) > count + 2)
            busy = False
            await asker
            assert seen[-1] == "new"
            assert seen == sorted(seen, key=lambda word: word == "new"), "an older model answered later"

    run(story())


def test_a_deleted_endpoint_finishes_what_runs_and_cancels_what_waits(bench: Any, run: Any, until: Any) -> None:
    async def story() -> None:
        async with bench() as it:
            folder = await it.serving(source=SLOW)
            name = resource_of("one", "main")
            await it.service.ledger.do(register_target, ScalableTargetRecord(name, "one", "main", ScalableTarget(1, 2)))
            long = await it.ask(b"long")
            await until(lambda: it.now(long).state == "running")
            waiting = await it.ask(b"next")
            await it.service.ledger.do(close_endpoint, "one")
            it.service.poke()
            assert (await it.end(waiting)).state == "cancelled"
            with pytest.raises(ConflictError):
                await it.ask(b"late")
            (folder / "go").touch()
            assert (await it.end(long)).state == "completed"
            await until(lambda: it.service.state.read(ENDPOINTS.find, "one") is None)
            assert it.service.state.read(TARGETS.all) == []
            await it.serving("one-again")

    run(story())


def test_a_model_that_never_loads_makes_the_endpoint_fail_with_its_reason(bench: Any, run: Any, until: Any) -> None:
    async def story() -> None:
        async with bench(patience_s=2.0) as it:
            await it.endpoint("crash", "def model_fn(folder):\n    raise OSError('no such weights')")
            await it.endpoint("hang", "import time\ndef model_fn(folder):\n    time.sleep(1000)")
            for name, reason in (("crash", "no such weights"), ("hang", "ready within 2 seconds")):
                await until(lambda name=name: it.service.state.read(ENDPOINTS.get, name).status == "Failed")
                assert reason in it.service.state.read(ENDPOINTS.get, name).reason

    run(story())


def test_calls_are_answered_at_once_shared_by_weight_and_refused_where_too_many_wait(
    bench: Any, run: Any, until: Any
) -> None:
    async def story() -> None:
        async with bench(waiting=1) as it:
            folder = await it.serving(source=SLOW, real_time=True)

            async def call(body: bytes, deadline_s: float = 30.0) -> bytes:
                async with it.service.call("one", "", (), body, deadline_s) as (answer, variant):
                    assert variant == "main"
                    return await answer.read()

            assert await call(b"short") == b"short"
            [member] = it.service.endpoints.ready("one")
            holding = asyncio.create_task(call(b"long"))
            await until(lambda: member.in_flight)
            waiting = asyncio.create_task(call(b"short"))
            await asyncio.sleep(0)
            await until(lambda: it.service.realtime._queues.get("one"))
            with pytest.raises(BusyError, match="calls may wait"):
                await call(b"short")
            (folder / "go").touch()
            assert await holding == b"long"
            assert await waiting == b"short"
            with pytest.raises(UnknownNameError):
                async with it.service.call("none", "", (), b"", 1.0):
                    pass
            await it.serving("two")
            with pytest.raises(RecordError, match="asynchronous"):
                async with it.service.call("two", "", (), b"", 1.0):
                    pass

    run(story())


def test_a_drained_service_finishes_what_runs_and_the_next_one_does_what_waits(
    bench: Any, run: Any, until: Callable[..., Any]
) -> None:
    async def first() -> tuple[Any, Any]:
        async with bench() as it:
            folder = await it.serving(source=SLOW)
            long = await it.ask(b"long")
            await until(lambda: it.now(long).state == "running")
            waiting = await it.ask(b"next")
            draining = asyncio.create_task(it.service.drain())
            await until(lambda: it.service.draining)
            with pytest.raises(BusyError, match="drained"):
                await it.ask(b"late")
            (folder / "go").touch()
            await draining
            assert it.now(long).state == "completed"
            assert it.now(waiting).state == "queued"
            return long, waiting

    async def second(waiting: Any) -> None:
        async with bench() as it:
            assert (await it.end(waiting)).state == "completed"

    _, waiting = run(first())
    run(second(waiting))
