"""Models, configurations, endpoints and instances: their kinds, and the rules by which they change.

An endpoint keeps its own copy of what its configuration said, so models and configurations may be deleted while it
runs.
"""

from collections.abc import Mapping

from msgspec.structs import replace
from sqlalchemy import Connection, select

from modelwright.errors import ConflictError, RecordError
from modelwright.records import (
    ConfigurationRecord,
    EndpointRecord,
    EndpointStatus,
    InstanceRecord,
    InstanceStatus,
    ModelRecord,
    VariantRecord,
)
from modelwright.serve.state.entities import Kind
from modelwright.serve.state.schema import REQUESTS
from modelwright.serve.state.unit import Unit

MODELS = Kind("model", ModelRecord, "model")
CONFIGURATIONS = Kind("configuration", ConfigurationRecord, "endpoint configuration")
ENDPOINTS = Kind("endpoint", EndpointRecord, "endpoint")
INSTANCES = Kind("instance", InstanceRecord, "instance")

_CHANGING = ("Creating", "Updating", "Deleting")


def create_model(unit: Unit, model: ModelRecord) -> ModelRecord:
    """Add a model.

    Raises:
        ConflictError: there is one of that name.
        RecordError: it breaks a rule, such as that of names.
    """
    return MODELS.create(unit, replace(model, created_at=unit.at))


def create_configuration(unit: Unit, configuration: ConfigurationRecord) -> ConfigurationRecord:
    """Add a configuration.

    Raises:
        ConflictError: there is one of that name.
        UnknownNameError: one of its models is not there.
        RecordError: it breaks a rule; two of its variants have one name.
    """
    names = [variant.name for variant in configuration.variants]
    if len(set(names)) < len(names):
        rule = "the variants of an endpoint must have names of their own"
        raise RecordError(rule, where=configuration.name, value=names, way_out="Rename one of them.")
    for variant in configuration.variants:
        MODELS.get(unit.connection, variant.model)
    return CONFIGURATIONS.create(unit, replace(configuration, created_at=unit.at))


def create_endpoint(
    unit: Unit, name: str, configuration: str, details: dict[str, object] | None = None
) -> EndpointRecord:
    """Add an endpoint, in the status Creating.

    Raises:
        ConflictError: there is one of that name.
        UnknownNameError: there is no such configuration.
        RecordError: the name breaks a rule.
    """
    made = CONFIGURATIONS.get(unit.connection, configuration)
    endpoint = EndpointRecord(name, made.name, made.variants, made.settings, details=details or {})
    endpoint = replace(endpoint, created_at=unit.at, updated_at=unit.at)
    return ENDPOINTS.create(unit, endpoint, status=endpoint.status)


def update_endpoint(
    unit: Unit, name: str, configuration: str, *, keep_instances: bool = False, details: dict[str, object] | None = None
) -> EndpointRecord:
    """Give an endpoint another configuration, in the status Updating until somebody says that it is in service.

    Args:
        unit: of work.
        name: the endpoint's.
        configuration: the new one's.
        keep_instances: variants that stay keep their number of instances.
        details: what the client said besides.

    Raises:
        UnknownNameError: there is no such endpoint or configuration.
        ConflictError: the endpoint is on its way from one status to another; or requests that wait could never run,
            because the new configuration takes none.
    """
    endpoint = ENDPOINTS.get(unit.connection, name)
    _check_settled(endpoint)
    made = CONFIGURATIONS.get(unit.connection, configuration)
    if made.settings is None and endpoint.settings is not None and unfinished(unit.connection, name):
        rule = "an endpoint must stay asynchronous while requests wait or run"
        raise ConflictError(rule, where=name, way_out="Wait until they are done, or cancel them.")
    had = {variant.name: variant.instances for variant in endpoint.variants} if keep_instances else {}
    variants = tuple(replace(one, instances=had.get(one.name, one.instances)) for one in made.variants)
    return _put(
        unit,
        replace(
            endpoint,
            configuration=made.name,
            variants=variants,
            settings=made.settings,
            status="Updating",
            reason="",
            details=endpoint.details if details is None else details,
        ),
    )


def set_variants(unit: Unit, name: str, wanted: Mapping[str, tuple[int | None, float | None]]) -> EndpointRecord:
    """Change how many instances of variants are wanted, or their weights.

    Args:
        unit: of work.
        name: the endpoint's.
        wanted: variant -> number of instances and weight; None leaves what there is.

    Raises:
        UnknownNameError: there is no such endpoint.
        ConflictError: the endpoint is being deleted.
        RecordError: there is no such variant, or a number is below zero.
    """
    endpoint = ENDPOINTS.get(unit.connection, name)
    if endpoint.status == "Deleting":
        raise _on_its_way(endpoint)
    missing = wanted.keys() - {variant.name for variant in endpoint.variants}
    if missing:
        raise RecordError("a variant must be one of the endpoint's", where=name, value=sorted(missing))
    variants = tuple(_changed(one, *wanted.get(one.name, (None, None))) for one in endpoint.variants)
    return _put(unit, replace(endpoint, variants=variants))


def set_status(unit: Unit, name: str, status: EndpointStatus, reason: str = "") -> EndpointRecord:
    """Note what an endpoint has become: InService or Failed. One that is being deleted stays so.

    Raises:
        UnknownNameError: there is no such endpoint.
        RecordError: there is no such status.
    """
    endpoint = ENDPOINTS.get(unit.connection, name)
    if endpoint.status == "Deleting":
        return endpoint
    return _put(unit, replace(endpoint, status=status, reason=reason))


def close_endpoint(unit: Unit, name: str) -> EndpointRecord:
    """Begin to delete an endpoint: it takes no more requests. Those that wait are the caller's to cancel.

    Raises:
        UnknownNameError: there is no such endpoint.
    """
    return _put(unit, replace(ENDPOINTS.get(unit.connection, name), status="Deleting", reason=""))


def remove_endpoint(unit: Unit, name: str) -> bool:
    """End the deletion of an endpoint, once none of its requests waits or runs.

    Returns:
        Whether it is gone; otherwise it is too early.

    Raises:
        UnknownNameError: there is no such endpoint.
        ConflictError: its deletion has not begun.
    """
    endpoint = ENDPOINTS.get(unit.connection, name)
    if endpoint.status != "Deleting":
        raise ConflictError("an endpoint must be closed before it is removed", where=name, value=endpoint.status)
    if unfinished(unit.connection, name):
        return False
    ENDPOINTS.delete(unit, name)
    return True


def unfinished(connection: Connection, name: str) -> bool:
    """Whether any of an endpoint's requests waits or runs."""
    ask = select(REQUESTS.c.id).where(REQUESTS.c.endpoint == name)
    return any(
        connection.execute(ask.where(REQUESTS.c.state == state).limit(1)).first() for state in ("queued", "running")
    )


def add_instance(unit: Unit, instance: InstanceRecord) -> InstanceRecord:
    """Note an instance that this server starts.

    Raises:
        ConflictError: there is one of that name.
    """
    made = replace(instance, server=unit.server, started_at=unit.at)
    return INSTANCES.create(unit, made, parent=_family(made.endpoint, made.variant), status=made.status)


def set_instance(unit: Unit, name: str, status: InstanceStatus, address: str | None = None) -> InstanceRecord:
    """Note what an instance has become, and where it listens.

    Raises:
        UnknownNameError: there is no such instance.
        RecordError: there is no such status.
    """
    before = INSTANCES.get(unit.connection, name)
    after = replace(before, status=status, address=before.address if address is None else address)
    return INSTANCES.replace(unit, after, status=status)


def instances_of(connection: Connection, endpoint: str, variant: str) -> list[InstanceRecord]:
    """A variant's instances, on all servers."""
    return INSTANCES.children(connection, _family(endpoint, variant))


def _family(endpoint: str, variant: str) -> str:
    return f"{endpoint}/{variant}"


def _changed(variant: VariantRecord, instances: int | None, weight: float | None) -> VariantRecord:
    changes = {"instances": instances, "weight": weight}
    return replace(variant, **{name: value for name, value in changes.items() if value is not None})


def _put(unit: Unit, endpoint: EndpointRecord) -> EndpointRecord:
    return ENDPOINTS.replace(unit, replace(endpoint, updated_at=unit.at), status=endpoint.status)


def _check_settled(endpoint: EndpointRecord) -> None:
    if endpoint.status in _CHANGING:
        raise _on_its_way(endpoint)


def _on_its_way(endpoint: EndpointRecord) -> ConflictError:
    rule = "an endpoint must have come to rest before it is changed"
    way_out = "Wait until it is in service."
    return ConflictError(rule, where=endpoint.name, value=endpoint.status, way_out=way_out)
