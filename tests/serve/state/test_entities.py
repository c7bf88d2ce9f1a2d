"""Models, configurations and endpoints keep their rules; lists come page by page and lose nothing."""

import msgspec
import pytest
from msgspec.structs import replace

from modelwright.clock import ManualClock
from modelwright.errors import ConflictError, RecordError, SettingError, UnknownNameError
from modelwright.records import (
    Answer,
    ConfigurationRecord,
    EndpointSettings,
    InstanceRecord,
    Invocation,
    ModelRecord,
    VariantRecord,
)
from modelwright.serve.state import (
    CONFIGURATIONS,
    ENDPOINTS,
    INSTANCES,
    MODELS,
    Kind,
    Listing,
    State,
    accept,
    add_instance,
    cancel_queued,
    claim,
    close_endpoint,
    complete,
    create_configuration,
    create_endpoint,
    create_model,
    instances_of,
    remove_endpoint,
    set_instance,
    set_status,
    set_variants,
    update_endpoint,
)

SETTINGS = EndpointSettings("s3://bucket/out")


class Thing(msgspec.Struct, frozen=True):
    name: str
    text: str = ""


THINGS = Kind("thing", Thing, "thing")


def made(name: str, *variants: str, settings: EndpointSettings | None = SETTINGS) -> ConfigurationRecord:
    return ConfigurationRecord(name, tuple(VariantRecord(one, "summarizer-model") for one in variants), settings)


def test_what_is_created_is_told_back_as_it_was_and_a_name_is_taken_once(state: State, clock: ManualClock) -> None:
    clock.advance(1000.0)
    details = {"ExecutionRoleArn": "arn:aws:iam::1:role/x", "Tags": [{"Key": "a", "Value": "ü\x00"}]}
    model = ModelRecord("my-model", "s3://bucket/model.tar.gz", environment={"A": "1"}, details=details)
    state.submit(create_model, model).result()
    assert state.read(MODELS.get, "my-model") == replace(model, created_at=state.now().at)
    with pytest.raises(ConflictError, match="name of its own"):
        state.submit(create_model, model).result()


@pytest.mark.parametrize("name", ["", "-a", "a-", "a_b", "a b", "x" * 64, "é", "a\x00", "\ud800"])
def test_names_keep_sagemakers_rule(state: State, name: str) -> None:
    with pytest.raises(RecordError):
        state.submit(create_model, ModelRecord(name)).result()
    with pytest.raises((RecordError, UnknownNameError)):
        state.submit(create_endpoint, name, "summarizer-made").result()


def test_a_configuration_has_known_models_and_variants_with_names_of_their_own(state: State) -> None:
    unknown = ConfigurationRecord("c", (VariantRecord("main", "summariser-model"),))
    with pytest.raises(UnknownNameError, match="Did you mean 'summarizer-model'"):
        state.submit(create_configuration, unknown).result()
    with pytest.raises(RecordError, match="names of their own"):
        state.submit(create_configuration, made("c", "a", "a")).result()
    with pytest.raises(RecordError):
        state.submit(create_configuration, made("c")).result()
    for broken in (replace(SETTINGS, concurrency=0), replace(SETTINGS, concurrency=1001), replace(SETTINGS, lease_s=0)):
        with pytest.raises(RecordError):
            state.submit(create_configuration, made("c", "a", settings=broken)).result()
    assert state.read(CONFIGURATIONS.find, "c") is None


def test_an_endpoint_goes_on_with_its_copy_of_what_it_was_made_from(state: State) -> None:
    state.submit(CONFIGURATIONS.delete, "summarizer-made").result()
    state.submit(MODELS.delete, "summarizer-model").result()
    endpoint = state.read(ENDPOINTS.get, "summarizer")
    assert (endpoint.configuration, endpoint.variants[0].model) == ("summarizer-made", "summarizer-model")
    assert state.submit(accept, Invocation("summarizer", "a", "s3://b/in")).result().state == "queued"
    with pytest.raises(UnknownNameError):
        state.submit(CONFIGURATIONS.delete, "summarizer-made").result()


def test_an_endpoint_is_changed_at_rest_alone(state: State, clock: ManualClock) -> None:
    state.submit(create_configuration, made("wider", "main", "second")).result()
    state.submit(set_variants, "summarizer", {"main": (4, None)}).result()
    clock.advance(60.0)
    updated = state.submit(update_endpoint, "summarizer", "wider", keep_instances=True).result()
    assert (updated.status, [one.instances for one in updated.variants]) == ("Updating", [4, 1])
    assert updated.updated_at == updated.created_at + 60.0 == state.now().at
    with pytest.raises(ConflictError, match="come to rest"):
        state.submit(update_endpoint, "summarizer", "wider").result()
    assert state.submit(accept, Invocation("summarizer", "a", "s3://b/in")).result().state == "queued"
    state.submit(set_status, "summarizer", "InService").result()
    again = state.submit(update_endpoint, "summarizer", "wider").result()
    assert [one.instances for one in again.variants] == [1, 1]


def test_requests_that_wait_are_not_left_without_a_queue(state: State) -> None:
    state.submit(create_configuration, made("at-once", "main", settings=None)).result()
    state.submit(accept, Invocation("summarizer", "a", "s3://b/in")).result()
    with pytest.raises(ConflictError, match="stay asynchronous"):
        state.submit(update_endpoint, "summarizer", "at-once").result()
    state.submit(cancel_queued, "summarizer", "changed").result()
    state.submit(update_endpoint, "summarizer", "at-once").result()
    with pytest.raises(RecordError, match="settings for asynchronous requests"):
        state.submit(accept, Invocation("summarizer", "b", "s3://b/in")).result()


def test_wanted_instances_and_weights_change_alone(state: State) -> None:
    changed = state.submit(set_variants, "summarizer", {"main": (0, 0.5)}).result()
    assert [(one.instances, one.weight) for one in changed.variants] == [(0, 0.5)]
    for broken in ({"other": (1, None)}, {"main": (-1, None)}, {"main": (None, -0.5)}):
        with pytest.raises(RecordError):
            state.submit(set_variants, "summarizer", broken).result()
    assert state.read(ENDPOINTS.get, "summarizer") == changed


@pytest.mark.parametrize("status", ["Creating", "Failed"])
def test_an_endpoint_out_of_service_takes_nothing(state: State, status) -> None:
    state.submit(set_status, "summarizer", status, "it must be so").result()
    with pytest.raises(ConflictError, match="must be in service"):
        state.submit(accept, Invocation("summarizer", "a", "s3://b/in")).result()


def test_an_endpoint_is_gone_when_its_last_request_has_ended(state: State) -> None:
    for name in "ab":
        state.submit(accept, Invocation("summarizer", name, "s3://b/in")).result()
    (lease,) = state.submit(claim, "one", "main", ["summarizer"]).result()
    with pytest.raises(ConflictError, match="closed before"):
        state.submit(remove_endpoint, "summarizer").result()
    state.submit(close_endpoint, "summarizer").result()
    assert state.submit(set_status, "summarizer", "InService").result().status == "Deleting"
    with pytest.raises(ConflictError):
        state.submit(accept, Invocation("summarizer", "c", "s3://b/in")).result()
    assert not state.submit(remove_endpoint, "summarizer").result()
    state.submit(cancel_queued, "summarizer", "its endpoint is deleted").result()
    assert not state.submit(remove_endpoint, "summarizer").result()
    assert state.submit(complete, lease.number, lease.token, Answer(200)).result()
    assert state.submit(remove_endpoint, "summarizer").result()
    with pytest.raises(UnknownNameError):
        state.submit(accept, Invocation("summarizer", "d", "s3://b/in")).result()


def test_an_endpoints_change_counts_for_what_stands_behind_it_in_the_same_commit(state: State) -> None:
    def both(unit) -> None:
        accept(unit, Invocation("summarizer", "a", "s3://b/in"))
        close_endpoint(unit, "summarizer")
        with pytest.raises(ConflictError):
            accept(unit, Invocation("summarizer", "b", "s3://b/in"))

    state.submit(both).result()


def test_instances_are_known_by_their_variant_and_status(state: State) -> None:
    for number in range(3):
        state.submit(add_instance, InstanceRecord(f"i-{number}", "summarizer", "main")).result()
    state.submit(set_instance, "i-1", "ready", "http://127.0.0.1:40001").result()
    found = state.read(instances_of, "summarizer", "main")
    assert [(one.name, one.status, one.server) for one in found] == [
        ("i-0", "starting", state.server),
        ("i-1", "ready", state.server),
        ("i-2", "starting", state.server),
    ]
    assert state.submit(set_instance, "i-1", "draining").result().address == "http://127.0.0.1:40001"
    with pytest.raises(RecordError):
        state.submit(set_instance, "i-1", "asleep").result()
    state.submit(INSTANCES.delete, "i-0").result()
    assert state.read(instances_of, "summarizer", "second") == []


@pytest.mark.parametrize("order", ["name", "created_at", "updated_at"])
@pytest.mark.parametrize("descending", [False, True])
def test_pages_put_together_are_the_list(state: State, clock: ManualClock, order, descending: bool) -> None:
    names = ["b", "a", "c2", "c10", "B", "é", "z/1", "z/2"]
    for place, name in enumerate(names):
        state.submit(THINGS.create, Thing(name)).result()
        clock.advance(float(place % 3))  # some at the same moment
    for name in ("z/1", "a"):
        state.submit(THINGS.replace, Thing(name, "changed")).result()
    whole = state.read(THINGS.page, Listing(order=order, descending=descending)).records
    assert sorted(one.name for one in whole) == sorted(names)
    reverse = state.read(THINGS.page, Listing(order=order, descending=not descending)).records
    assert whole == reverse[::-1]
    for limit in (1, 3, 8):
        found, listing = [], Listing(limit, order=order, descending=descending)
        while True:
            page = state.read(THINGS.page, listing)
            found += page.records
            if not page.after:
                break
            listing = replace(listing, after=page.after)
        assert tuple(found) == whole


def test_a_list_holds_what_was_asked_for(state: State, clock: ManualClock) -> None:
    times = []
    for name in ("Model-100%", "model_a", "other"):
        times.append(state.now().at)
        state.submit(THINGS.create, Thing(name), parent=name[:1], status="new").result()
        clock.advance(10.0)

    def names(**wanted: object) -> list[str]:
        return [one.name for one in state.read(THINGS.page, Listing(**wanted)).records]

    assert names(containing="model") == ["Model-100%", "model_a"]
    assert names(containing="%") == ["Model-100%"]
    assert names(containing="_") == ["model_a"]
    assert names(created=(times[1], times[2])) == ["model_a"]
    assert names(parent="o") == names(updated=(times[2], None)) == ["other"]
    assert names(status="old") == []


@pytest.mark.parametrize("after", ["nonsense", "!", "WzEsMl0=", "é"])
def test_a_page_begins_where_another_ended_or_nowhere(state: State, after: str) -> None:
    with pytest.raises(SettingError, match="begin where another ended"):
        state.read(THINGS.page, Listing(after=after))
    with pytest.raises(SettingError):
        state.read(THINGS.page, Listing(limit=0))
