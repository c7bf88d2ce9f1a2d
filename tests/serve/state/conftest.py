"""Databases for the tests: a SQLite file, and one of a PostgreSQL server where PostgreSQL is installed."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelwright.clock import ManualClock
from modelwright.records import ConfigurationRecord, EndpointSettings, ModelRecord, VariantRecord
from modelwright.serve.state import State, create_configuration, create_endpoint, create_model, set_status

Address = str | Path


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Address]:
    """Makes addresses of databases that are empty, of each kind."""
    if request.param == "postgresql":
        return request.getfixturevalue("new_postgresql")
    number = itertools.count()
    return lambda: tmp_path / f"{next(number)}.db"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def furnish() -> Callable[..., None]:
    """Puts an endpoint in service into a state."""

    def endpoint(state: State, name: str = "summarizer", settings: EndpointSettings | None = None) -> None:
        state.submit(create_model, ModelRecord(f"{name}-model")).result()
        made = ConfigurationRecord(f"{name}-made", (VariantRecord("main", f"{name}-model"),), settings)
        made = made if settings else ConfigurationRecord(made.name, made.variants, EndpointSettings("s3://bucket/out"))
        state.submit(create_configuration, made).result()
        state.submit(create_endpoint, name, made.name).result()
        state.submit(set_status, name, "InService").result()

    return endpoint


@pytest.fixture
def state(new_database: Callable[[], Address], clock: ManualClock, furnish: Callable[..., None]) -> Iterator[State]:
    """A state on each kind of database, with the endpoint "summarizer" in service."""
    opened = State.open(new_database(), clock)
    furnish(opened)
    yield opened
    opened.close()
