"""Inputs of application-autoscaling: the members that are used here, with AWS's own bounds; others are passed over."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Namespace = Literal["sagemaker"]
Dimension = Literal["sagemaker:variant:DesiredInstanceCount"]
Resource = Annotated[str, Meta(min_length=1, max_length=1600)]
PolicyName = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f]+$")]


class Suspended(Struct):
    """What policies may not do for now."""

    DynamicScalingInSuspended: bool = False
    DynamicScalingOutSuspended: bool = False
    ScheduledScalingSuspended: bool = False


class Register(Struct):
    """An input."""

    ServiceNamespace: Namespace
    ResourceId: Resource
    ScalableDimension: Dimension
    MinCapacity: Annotated[int, Meta(ge=0)] | None = None
    MaxCapacity: Annotated[int, Meta(ge=0)] | None = None
    RoleARN: str = ""
    SuspendedState: Suspended | None = None
    Tags: dict[str, str] = {}


class OneTarget(Struct):
    """An input."""

    ServiceNamespace: Namespace
    ResourceId: Resource
    ScalableDimension: Dimension


class OnePolicy(Struct):
    """An input."""

    PolicyName: PolicyName
    ServiceNamespace: Namespace
    ResourceId: Resource
    ScalableDimension: Dimension


class Predefined(Struct):
    """A metric by its name."""

    PredefinedMetricType: str
    ResourceLabel: str = ""


class Dimensioned(Struct):
    """A dimension."""

    Name: str
    Value: str


class Customized(Struct):
    """A metric of CloudWatch."""

    MetricName: str
    Namespace: str = "AWS/SageMaker"
    Dimensions: list[Dimensioned] = []
    Statistic: Literal["Average", "Minimum", "Maximum", "SampleCount", "Sum"] = "Average"
    Unit: str = ""


class Tracking(Struct):
    """Of a target-tracking policy."""

    TargetValue: Annotated[float, Meta(gt=0)]
    PredefinedMetricSpecification: Predefined | None = None
    CustomizedMetricSpecification: Customized | None = None
    ScaleOutCooldown: Annotated[int, Meta(ge=0)] = 300
    ScaleInCooldown: Annotated[int, Meta(ge=0)] = 300
    DisableScaleIn: bool = False


class Step(Struct):
    """Of a step policy."""

    ScalingAdjustment: int
    MetricIntervalLowerBound: float | None = None
    MetricIntervalUpperBound: float | None = None


class Steps(Struct):
    """Of a step policy."""

    AdjustmentType: Literal["ChangeInCapacity", "PercentChangeInCapacity", "ExactCapacity"]
    StepAdjustments: Annotated[list[Step], Meta(min_length=1)]
    MinAdjustmentMagnitude: Annotated[int, Meta(ge=0)] = 0
    Cooldown: Annotated[int, Meta(ge=0)] = 300
    MetricAggregationType: Literal["Average", "Minimum", "Maximum"] = "Average"


class PutPolicy(Struct):
    """An input."""

    PolicyName: PolicyName
    ServiceNamespace: Namespace
    ResourceId: Resource
    ScalableDimension: Dimension
    PolicyType: Literal["TargetTrackingScaling", "StepScaling"] = "StepScaling"
    TargetTrackingScalingPolicyConfiguration: dict[str, Any] | None = None
    StepScalingPolicyConfiguration: dict[str, Any] | None = None


class Describe(Struct):
    """An input of all that describe."""

    ServiceNamespace: Namespace
    ResourceIds: list[str] = []
    ResourceId: str = ""
    ScalableDimension: str = ""
    PolicyNames: list[str] = []
    IncludeNotScaledActivities: bool = False
    MaxResults: Annotated[int, Meta(ge=1, le=50)] = 50
    NextToken: str = ""


class Tagging(Struct):
    """An input."""

    ResourceARN: str
    Tags: dict[str, str] = {}
    TagKeys: list[str] = []
