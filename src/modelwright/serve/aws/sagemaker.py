"""sagemaker: models, endpoint configurations, endpoints and their tags.

What a client says and nothing here uses (images, roles, networks) is kept and told back. A model needs no image: its
archive is run by Modelwright's own runner, or what the environment names, such as HF_MODEL_ID.
"""

import re
from typing import Any

import msgspec

from modelwright.errors import RefusedError
from modelwright.records import (
    ConfigurationRecord,
    EndpointRecord,
    EndpointSettings,
    ModelRecord,
    VariantRecord,
)
from modelwright.serve.aws.exchange import Reply, Request
from modelwright.serve.aws.operations import Operations, arn, converted, perform, told
from modelwright.serve.aws.sagemaker_inputs import (
    AsyncInferenceConfig,
    CreateEndpoint,
    CreateEndpointConfig,
    CreateModel,
    Listed,
    NamedConfiguration,
    NamedEndpoint,
    NamedModel,
    Notices,
    Tagged,
    UpdateCapacities,
    UpdateEndpoint,
    Variant,
)
from modelwright.serve.service import Service
from modelwright.serve.state import (
    CONFIGURATIONS,
    ENDPOINTS,
    MODELS,
    Kind,
    Listing,
    Unit,
    close_endpoint,
    create_configuration,
    create_endpoint,
    create_model,
    instances_of,
    set_variants,
    update_endpoint,
)

HANDLER = "MODELWRIGHT_HANDLER"
"""Variable of a model's environment that names its handler, "module:attribute"."""


async def answer(service: Service, request: Request) -> Reply:
    """Answer one request.

    Raises:
        ModelwrightError: it is refused.
    """
    return await perform(service, request, OPERATIONS, "1.1", "ValidationException")


async def _create_model(service: Service, given: CreateModel) -> dict[str, Any]:
    containers = [given.PrimaryContainer] if given.PrimaryContainer else given.Containers
    if len(containers) != 1:
        raise _invalid("a model must have one container", len(containers))
    one = containers[0]
    location = one.ModelDataUrl or (one.ModelDataSource.S3DataSource.S3Uri if one.ModelDataSource else "")
    details = {"tags": msgspec.to_builtins(given.Tags)} if given.Tags else {}
    record = ModelRecord(
        given.ModelName, location, one.Environment.get(HANDLER, ""), dict(one.Environment), details=details
    )
    made = await service.ledger.do(create_model, record)
    return {"ModelArn": arn(service, "sagemaker", f"model/{made.name}")}


async def _describe_model(service: Service, given: NamedModel) -> dict[str, Any]:
    one = await service.ledger.read(MODELS.get, given.ModelName)
    container = told({"ModelDataUrl": one.location, "Environment": one.environment or None})
    return {
        "ModelName": one.name,
        "ModelArn": arn(service, "sagemaker", f"model/{one.name}"),
        "PrimaryContainer": container,
        "CreationTime": one.created_at,
        "EnableNetworkIsolation": False,
    }


async def _list_models(service: Service, given: Listed) -> dict[str, Any]:
    page = await service.ledger.read(MODELS.page, _listing(given))
    rows = [
        {
            "ModelName": one.name,
            "ModelArn": arn(service, "sagemaker", f"model/{one.name}"),
            "CreationTime": one.created_at,
        }
        for one in page.records
    ]
    return told({"Models": rows, "NextToken": page.after})


async def _delete_model(service: Service, given: NamedModel) -> dict[str, Any]:
    await service.ledger.do(MODELS.delete, given.ModelName)
    return {}


async def _create_configuration(service: Service, given: CreateEndpointConfig) -> dict[str, Any]:
    variants = [converted(one, Variant, "ValidationException") for one in given.ProductionVariants]
    records = tuple(
        VariantRecord(
            one.VariantName, one.ModelName, one.InitialInstanceCount, one.InitialVariantWeight, one.InstanceType, said
        )
        for one, said in zip(variants, given.ProductionVariants, strict=True)
    )
    settings = None
    if given.AsyncInferenceConfig is not None:
        settings = _settings(
            converted(given.AsyncInferenceConfig, AsyncInferenceConfig, "ValidationException"),
            given.AsyncInferenceConfig,
        )
    details = {"tags": msgspec.to_builtins(given.Tags)} if given.Tags else {}
    record = ConfigurationRecord(given.EndpointConfigName, records, settings, details=details)
    made = await service.ledger.do(create_configuration, record)
    return {"EndpointConfigArn": arn(service, "sagemaker", f"endpoint-config/{made.name}")}


def _settings(one: AsyncInferenceConfig, said: dict[str, Any]) -> EndpointSettings:
    output, notice = one.OutputConfig, one.OutputConfig.NotificationConfig or Notices()
    for name, place in (("S3OutputPath", output.S3OutputPath), ("S3FailurePath", output.S3FailurePath)):
        if place and not re.fullmatch(r"s3://[^/]+(/.*)?", place):
            raise _invalid(f"{name} must be at s3://", place)
    words = {"SUCCESS_NOTIFICATION_TOPIC": "success", "ERROR_NOTIFICATION_TOPIC": "error"}
    return EndpointSettings(
        output.S3OutputPath,
        output.S3FailurePath,
        notice.SuccessTopic,
        notice.ErrorTopic,
        tuple(words[one] for one in notice.IncludeInferenceResponseIn),  # type: ignore[misc]  # each is one of two
        one.ClientConfig.MaxConcurrentInvocationsPerInstance if one.ClientConfig else 1,
        details=said,
    )


async def _describe_configuration(service: Service, given: NamedConfiguration) -> dict[str, Any]:
    one = await service.ledger.read(CONFIGURATIONS.get, given.EndpointConfigName)
    return told(
        {
            "EndpointConfigName": one.name,
            "EndpointConfigArn": arn(service, "sagemaker", f"endpoint-config/{one.name}"),
            "ProductionVariants": [_variant(variant) for variant in one.variants],
            "CreationTime": one.created_at,
            "AsyncInferenceConfig": _told_settings(one.settings),
        }
    )


def _variant(one: VariantRecord) -> dict[str, Any]:
    own = {
        "VariantName": one.name,
        "ModelName": one.model,
        "InitialInstanceCount": one.instances,
        "InstanceType": one.instance_type,
        "InitialVariantWeight": one.weight,
    }
    return told({**one.details, **own})


def _told_settings(settings: EndpointSettings | None) -> dict[str, Any] | None:
    if settings is None:
        return None
    return settings.details or {
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": settings.concurrency},
        "OutputConfig": told({"S3OutputPath": settings.output_path, "S3FailurePath": settings.failure_path}),
    }


async def _list_configurations(service: Service, given: Listed) -> dict[str, Any]:
    page = await service.ledger.read(CONFIGURATIONS.page, _listing(given))
    rows = [
        {
            "EndpointConfigName": one.name,
            "EndpointConfigArn": arn(service, "sagemaker", f"endpoint-config/{one.name}"),
            "CreationTime": one.created_at,
        }
        for one in page.records
    ]
    return told({"EndpointConfigs": rows, "NextToken": page.after})


async def _delete_configuration(service: Service, given: NamedConfiguration) -> dict[str, Any]:
    await service.ledger.do(CONFIGURATIONS.delete, given.EndpointConfigName)
    return {}


async def _create_endpoint(service: Service, given: CreateEndpoint) -> dict[str, Any]:
    details: dict[str, object] = {"tags": msgspec.to_builtins(given.Tags)} if given.Tags else {}
    made = await service.ledger.do(create_endpoint, given.EndpointName, given.EndpointConfigName, details)
    service.poke(made.name)
    return {"EndpointArn": arn(service, "sagemaker", f"endpoint/{made.name}")}


async def _describe_endpoint(service: Service, given: NamedEndpoint) -> dict[str, Any]:
    one, ready = await service.ledger.read(_with_instances, given.EndpointName)
    variants = [
        {
            "VariantName": variant.name,
            "CurrentWeight": variant.weight,
            "DesiredWeight": variant.weight,
            "CurrentInstanceCount": ready[variant.name],
            "DesiredInstanceCount": variant.instances,
        }
        for variant in one.variants
    ]
    return told(
        {
            "EndpointName": one.name,
            "EndpointArn": arn(service, "sagemaker", f"endpoint/{one.name}"),
            "EndpointConfigName": one.configuration,
            "ProductionVariants": variants,
            "EndpointStatus": one.status,
            "FailureReason": one.reason,
            "CreationTime": one.created_at,
            "LastModifiedTime": one.updated_at,
            "AsyncInferenceConfig": _told_settings(one.settings),
        }
    )


def _with_instances(connection: Any, name: str) -> tuple[EndpointRecord, dict[str, int]]:
    """An endpoint, and how many instances of each variant are ready."""
    one = ENDPOINTS.get(connection, name)
    ready = {
        variant.name: sum(each.status == "ready" for each in instances_of(connection, name, variant.name))
        for variant in one.variants
    }
    return one, ready


async def _list_endpoints(service: Service, given: Listed) -> dict[str, Any]:
    page = await service.ledger.read(ENDPOINTS.page, _listing(given))
    rows = [
        {
            "EndpointName": one.name,
            "EndpointArn": arn(service, "sagemaker", f"endpoint/{one.name}"),
            "CreationTime": one.created_at,
            "LastModifiedTime": one.updated_at,
            "EndpointStatus": one.status,
        }
        for one in page.records
    ]
    return told({"Endpoints": rows, "NextToken": page.after})


async def _update_endpoint(service: Service, given: UpdateEndpoint) -> dict[str, Any]:
    kept = given.RetainAllVariantProperties
    left_out = {one.VariantPropertyType for one in given.ExcludeRetainedVariantProperties}
    made = await service.ledger.do(
        update_endpoint,
        given.EndpointName,
        given.EndpointConfigName,
        keep_instances=kept and "DesiredInstanceCount" not in left_out,
    )
    service.poke(made.name)
    return {"EndpointArn": arn(service, "sagemaker", f"endpoint/{made.name}")}


async def _update_capacities(service: Service, given: UpdateCapacities) -> dict[str, Any]:
    wanted = {
        one.VariantName: (one.DesiredInstanceCount, one.DesiredWeight) for one in given.DesiredWeightsAndCapacities
    }
    made = await service.ledger.do(set_variants, given.EndpointName, wanted)
    service.poke(made.name)
    return {"EndpointArn": arn(service, "sagemaker", f"endpoint/{made.name}")}


async def _delete_endpoint(service: Service, given: NamedEndpoint) -> dict[str, Any]:
    await service.ledger.do(close_endpoint, given.EndpointName)
    service.poke(given.EndpointName)
    return {}


async def _add_tags(service: Service, given: Tagged) -> dict[str, Any]:
    def add(unit: Unit) -> list[dict[str, str]]:
        kind, record = _resource(unit.connection, given.ResourceArn)
        tags = {one["Key"]: one["Value"] for one in record.details.get("tags", [])}
        tags |= {one.Key: one.Value for one in given.Tags}
        rows = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
        if len(rows) > 50:
            raise RefusedError("ResourceLimitExceeded", "a resource must have at most 50 tags", value=len(rows))
        kind.replace(unit, msgspec.structs.replace(record, details={**record.details, "tags": rows}))
        return rows

    return {"Tags": await service.ledger.do(add)}


async def _delete_tags(service: Service, given: Tagged) -> dict[str, Any]:
    def remove(unit: Unit) -> None:
        kind, record = _resource(unit.connection, given.ResourceArn)
        rows = [one for one in record.details.get("tags", []) if one["Key"] not in given.TagKeys]
        kind.replace(unit, msgspec.structs.replace(record, details={**record.details, "tags": rows}))

    await service.ledger.do(remove)
    return {}


async def _list_tags(service: Service, given: Tagged) -> dict[str, Any]:
    _, record = await service.ledger.read(_resource, given.ResourceArn)
    return {"Tags": record.details.get("tags", [])}


def _resource(connection: Any, name: str) -> tuple[Kind[Any], Any]:
    """The kind and record that an ARN names."""
    kinds: dict[str, Kind[Any]] = {"model": MODELS, "endpoint-config": CONFIGURATIONS, "endpoint": ENDPOINTS}
    kind, _, rest = name.rpartition(":")[2].partition("/")
    if kind not in kinds:
        raise _invalid("an ARN must be of a model, an endpoint-config or an endpoint", name)
    return kinds[kind], kinds[kind].get(connection, rest)


def _listing(given: Listed) -> Listing:
    orders = {"Name": "name", "CreationTime": "created_at", "Status": "name"}
    return Listing(
        limit=given.MaxResults,
        after=given.NextToken,
        order=orders[given.SortBy],  # type: ignore[arg-type]  # each is one of three
        descending=given.SortOrder == "Descending",
        containing=given.NameContains,
        status=given.StatusEquals,
        created=(given.CreationTimeAfter, given.CreationTimeBefore),
        updated=(given.LastModifiedTimeAfter, given.LastModifiedTimeBefore),
    )


def _invalid(rule: str, value: object) -> RefusedError:
    return RefusedError("ValidationException", rule, value=value)


OPERATIONS: Operations = {
    "AddTags": (Tagged, _add_tags),
    "CreateEndpoint": (CreateEndpoint, _create_endpoint),
    "CreateEndpointConfig": (CreateEndpointConfig, _create_configuration),
    "CreateModel": (CreateModel, _create_model),
    "DeleteEndpoint": (NamedEndpoint, _delete_endpoint),
    "DeleteEndpointConfig": (NamedConfiguration, _delete_configuration),
    "DeleteModel": (NamedModel, _delete_model),
    "DeleteTags": (Tagged, _delete_tags),
    "DescribeEndpoint": (NamedEndpoint, _describe_endpoint),
    "DescribeEndpointConfig": (NamedConfiguration, _describe_configuration),
    "DescribeModel": (NamedModel, _describe_model),
    "ListEndpointConfigs": (Listed, _list_configurations),
    "ListEndpoints": (Listed, _list_endpoints),
    "ListModels": (Listed, _list_models),
    "ListTags": (Tagged, _list_tags),
    "UpdateEndpoint": (UpdateEndpoint, _update_endpoint),
    "UpdateEndpointWeightsAndCapacities": (UpdateCapacities, _update_capacities),
}
