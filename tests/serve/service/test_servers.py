"""Servers that share a database and a store share out the instances, and go on with what one of them left."""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwright.clock import SystemClock
from modelwright.errors import SettingError
from modelwright.serve.service import Site, open_service
from modelwright.serve.service import service as service_module
from modelwright.serve.service.stand import share_of
from modelwright.serve.state import INSTANCES


@given(count=st.integers(0, 50), servers=st.sets(st.integers(1, 99), min_size=1, max_size=7), endpoint=st.text())
def test_shares_are_even_and_together_all(count: int, servers: set[int], endpoint: str) -> None:
    alive = sorted(servers)
    shares = [share_of(count, alive, server, endpoint) for server in alive]
    assert sum(shares) == count
    assert max(shares) - min(shares) <= 1


def test_a_store_elsewhere_needs_a_bucket_and_servers_need_one_store(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="must have a bucket"):
        Site(tmp_path, store="https://s3.example.org")
    assert Site(tmp_path, store="https://s3.example.org", bucket="mine").buckets == ("mine",)


def test_two_servers_share_instances_and_one_goes_on_with_all_when_the_other_ends(
    bench: Any, run: Any, until: Any, tmp_path: Path, new_postgresql: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stores: list[Any] = []

    async def opens(*words: Any) -> Any:
        return stores[0]

    async def story() -> None:
        database = new_postgresql()
        async with bench(database=database) as first:
            stores.append(first.service.objects)
            alone = Site(tmp_path / "alone", database=database)
            with pytest.raises(SettingError, match="must share a store"):
                async with open_service(alone, SystemClock(), lambda: "x"):
                    pass
            await first.serving(instances=2)
            there = Site(
                tmp_path / "two",
                database=database,
                store="https://s3.example.org",
                bucket=first.service.site.buckets[0],
                environment=first.service.site.environment,
            )
            async with open_service(there, SystemClock(), lambda: secrets.token_hex(6)) as second:
                await until(lambda: len(second.endpoints.ready("one")) == 1)
                first.service.poke()
                await until(lambda: len(first.service.endpoints.ready("one")) == 1)
                asked = [await first.ask(b"%d" % number) for number in range(12)]
                for number, record in enumerate(asked):
                    ended = await first.end(record)
                    assert (ended.state, ended.attempts, ended.duplicates) == ("completed", 1, 0)
                    assert await first.output(ended) == b"%d" % number
            await asyncio.wrap_future(first.service.state.sweep())
            first.service.poke()
            await until(lambda: len(first.service.endpoints.ready("one")) == 2)
            await until(lambda: len(first.service.state.read(INSTANCES.all)) == 2)

    monkeypatch.setattr(service_module, "open_objects", opens)
    run(story())
