"""Requests are shared out evenly, and never more to an instance than it has room for."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwright.clock import ManualClock
from modelwright.records import ConfigurationRecord, EndpointSettings, Invocation, ModelRecord, VariantRecord
from modelwright.serve.service.dispatcher import deal
from modelwright.serve.state import (
    State,
    accept,
    create_configuration,
    create_endpoint,
    create_model,
    give_back,
    set_status,
)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """A state with an endpoint in service."""
    opened = State.open(tmp_path / "serve.db", ManualClock())
    opened.submit(create_model, ModelRecord("m")).result()
    made = ConfigurationRecord("c", (VariantRecord("v", "m"),), EndpointSettings("s3://b/out"))
    opened.submit(create_configuration, made).result()
    opened.submit(create_endpoint, "e", "c").result()
    opened.submit(set_status, "e", "InService").result()
    yield opened
    opened.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rooms=st.lists(st.integers(1, 4), max_size=5), waiting=st.integers(0, 12), numbers=st.data())
def test_all_that_fits_is_dealt_out_in_order_one_each_in_turn(
    state: State, rooms: list[int], waiting: int, numbers: Any
) -> None:
    prefix = str(state.read(lambda connection: connection.exec_driver_sql("SELECT max(id) FROM requests").scalar()))
    for number in range(waiting):
        state.submit(accept, Invocation("e", f"{prefix}-{number}", "s3://b/in")).result()
    room = [(f"i{place}", "v", free) for place, free in enumerate(rooms)]
    leases = state.submit(deal, "e", room).result()
    try:
        assert len(leases) == min(waiting, sum(rooms))
        assert [lease.number for lease in leases] == sorted(lease.number for lease in leases)
        got = Counter(lease.instance for lease in leases)
        for name, _, free in room:
            assert got[name] <= free
            for other, _, more in room:  # nobody gets a second one before all with room have one
                assert got[name] <= got[other] + 1 or got[other] == more
    finally:
        for lease in leases:
            state.submit(give_back, lease.number, lease.token).result()
        empty(state)


def empty(state: State) -> None:
    """Let nothing wait, for the next example."""
    change: Callable[[Any], Any] = lambda unit: unit.connection.exec_driver_sql("DELETE FROM requests")  # noqa: E731
    state.submit(change).result()
