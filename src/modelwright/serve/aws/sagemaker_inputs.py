"""Inputs of sagemaker's operations: the members that are used here, with AWS's own bounds; others are passed over."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Name = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9])*$", max_length=63)]
Address = Annotated[str, Meta(pattern=r"^(https|s3)://([^/]+)/?(.*)$", max_length=1024)]


class Tag(Struct):
    """A key and its value."""

    Key: Annotated[str, Meta(min_length=1, max_length=128)]
    Value: Annotated[str, Meta(max_length=256)]


class S3DataSource(Struct):
    """Where a model's files are."""

    S3Uri: Address
    S3DataType: str = "S3Object"
    CompressionType: str = "Gzip"


class DataSource(Struct):
    """The same, in its newer form."""

    S3DataSource: S3DataSource


class Container(Struct):
    """What a model is made of."""

    ModelDataUrl: str | None = None
    ModelDataSource: DataSource | None = None
    Environment: Annotated[dict[str, Annotated[str, Meta(max_length=10_240)]], Meta(max_length=100)] = {}


class CreateModel(Struct):
    """An input."""

    ModelName: Name
    PrimaryContainer: Container | None = None
    Containers: Annotated[list[Container], Meta(max_length=15)] = []
    Tags: Annotated[list[Tag], Meta(max_length=50)] = []


class NamedModel(Struct):
    """An input."""

    ModelName: Name


class NamedConfiguration(Struct):
    """An input."""

    EndpointConfigName: Name


class NamedEndpoint(Struct):
    """An input."""

    EndpointName: Name


class Variant(Struct):
    """Of a configuration."""

    VariantName: Name
    ModelName: Name
    InitialInstanceCount: Annotated[int, Meta(ge=1, le=10_000)] = 1
    InstanceType: str = ""
    InitialVariantWeight: Annotated[float, Meta(ge=0)] = 1.0


class Client(Struct):
    """How an instance is asked."""

    MaxConcurrentInvocationsPerInstance: Annotated[int, Meta(ge=1, le=1000)] = 1


class Notices(Struct):
    """Who is told of ends."""

    SuccessTopic: str = ""
    ErrorTopic: str = ""
    IncludeInferenceResponseIn: list[Literal["SUCCESS_NOTIFICATION_TOPIC", "ERROR_NOTIFICATION_TOPIC"]] = []


class OutputConfig(Struct):
    """Where answers are kept."""

    S3OutputPath: str = ""
    S3FailurePath: str = ""
    KmsKeyId: str = ""
    NotificationConfig: Notices | None = None


class AsyncInferenceConfig(Struct):
    """Of an asynchronous endpoint."""

    OutputConfig: OutputConfig
    ClientConfig: Client | None = None


class CreateEndpointConfig(Struct):
    """An input."""

    EndpointConfigName: Name
    ProductionVariants: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=10)]
    AsyncInferenceConfig: dict[str, Any] | None = None
    Tags: Annotated[list[Tag], Meta(max_length=50)] = []


class CreateEndpoint(Struct):
    """An input."""

    EndpointName: Name
    EndpointConfigName: Name
    Tags: Annotated[list[Tag], Meta(max_length=50)] = []


class VariantProperty(Struct):
    """Of a variant."""

    VariantPropertyType: Literal["DesiredInstanceCount", "DesiredWeight", "DataCaptureConfig"]


class UpdateEndpoint(Struct):
    """An input."""

    EndpointName: Name
    EndpointConfigName: Name
    RetainAllVariantProperties: bool = False
    ExcludeRetainedVariantProperties: list[VariantProperty] = []


class Desired(Struct):
    """Of a variant."""

    VariantName: Name
    DesiredWeight: Annotated[float, Meta(ge=0)] | None = None
    DesiredInstanceCount: Annotated[int, Meta(ge=0)] | None = None


class UpdateCapacities(Struct):
    """An input."""

    EndpointName: Name
    DesiredWeightsAndCapacities: Annotated[list[Desired], Meta(min_length=1)]


class Listed(Struct):
    """An input."""

    SortBy: Literal["Name", "CreationTime", "Status"] = "CreationTime"
    SortOrder: Literal["Ascending", "Descending"] = "Descending"
    NextToken: str = ""
    MaxResults: Annotated[int, Meta(ge=1, le=100)] = 10
    NameContains: str = ""
    StatusEquals: str = ""
    CreationTimeBefore: float | None = None
    CreationTimeAfter: float | None = None
    LastModifiedTimeBefore: float | None = None
    LastModifiedTimeAfter: float | None = None


class Tagged(Struct):
    """An input."""

    ResourceArn: str
    Tags: Annotated[list[Tag], Meta(max_length=50)] = []
    TagKeys: list[str] = []
    NextToken: str = ""
    MaxResults: Annotated[int, Meta(ge=50)] = 50
