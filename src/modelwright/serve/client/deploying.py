"""A model is put behind an endpoint in one step: uploaded, described, scaled, and waited for."""

import hashlib
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from modelwright.errors import RefusedError, SettingError
from modelwright.serve.client.client import Client
from modelwright.serve.packing import pack

HANDLER = "MODELWRIGHT_HANDLER"
"""Variable that names a model's handler."""

VARIANT = "main"
_PIECE = 1024 * 1024


@final
@dataclass(frozen=True)
class Scaled:
    """How an endpoint's instances follow its backlog.

    Attributes:
        least, most: bounds.
        target: backlog for each instance that is sought.
        cooldown_s: after a change.
    """

    least: int
    most: int
    target: float = 5.0
    cooldown_s: int = 120


@final
@dataclass(frozen=True)
class Deployment:
    """What is to be served, and how.

    Attributes:
        model: a model.tar.gz, or the folder of a model or artifact.
        name: of endpoint and model.
        asynchronous: it keeps a queue; it answers at once otherwise.
        instances: at the beginning.
        concurrency: requests that an instance works on at once.
        environment: variables of its instances.
        scaled: how instances follow the backlog; None keeps their number.
        success_topic, error_topic: who is told of ends; "" for nobody.
    """

    model: Path
    name: str
    asynchronous: bool = True
    instances: int = 1
    concurrency: int = 1
    environment: dict[str, str] = field(default_factory=dict)
    scaled: Scaled | None = None
    success_topic: str = ""
    error_topic: str = ""


def deploy(client: Client, wanted: Deployment, tell: Callable[[str], None]) -> None:
    """Make an endpoint, or change the one of that name; it is on its way when this returns.

    Args:
        client: of the service.
        wanted: what and how.
        tell: is told each step.

    Raises:
        SettingError: there is no such model.
        StoreError, RefusedError: the service cannot be reached, or refuses.
    """
    bucket = client.status().bucket
    location, digest, environment = _uploaded(client, bucket, wanted, tell)
    name = f"{wanted.name[:50]}-{digest[:12]}"
    container = {"ModelDataUrl": location, "Environment": environment}
    _unless_there(
        lambda: client.operate("sagemaker", "CreateModel", {"ModelName": name, "PrimaryContainer": container})
    )
    config = _configuration(wanted, bucket, name)
    tag = hashlib.sha256(repr(sorted(config.items())).encode()).hexdigest()[:8]
    config["EndpointConfigName"] = f"{wanted.name[:54]}-{tag}"
    _unless_there(lambda: client.operate("sagemaker", "CreateEndpointConfig", config))
    given = {"EndpointName": wanted.name, "EndpointConfigName": config["EndpointConfigName"]}
    there = {one.name: one for one in client.status().endpoints}
    if wanted.name in there and there[wanted.name].status != "Deleting":
        tell(f"changing the endpoint {wanted.name}")
        client.operate("sagemaker", "UpdateEndpoint", given)
    else:
        tell(f"creating the endpoint {wanted.name}")
        client.operate("sagemaker", "CreateEndpoint", given)
    if wanted.scaled is not None:
        _scale(client, wanted.name, wanted.scaled)


def _uploaded(
    client: Client, bucket: str, wanted: Deployment, tell: Callable[[str], None]
) -> tuple[str, str, dict[str, str]]:
    """Address and digest of the model's archive, and its environment."""
    environment = dict(wanted.environment)
    with tempfile.TemporaryDirectory() as folder:
        archive = wanted.model
        if archive.is_dir():
            guard = archive.with_name(f"{archive.name}.guard")
            archive = Path(folder) / "model.tar.gz"
            beside = {"guard": guard} if guard.is_dir() else {}
            pack(wanted.model, archive, handler=environment.get(HANDLER, ""), beside=beside)
        elif not archive.is_file():
            raise SettingError("a model must be a folder or a model.tar.gz", value=str(wanted.model))
        else:
            _check_archive(archive)
        digest = _digest(archive)
        tell(f"uploading {archive.stat().st_size} bytes")
        with archive.open("rb") as file:
            key = f"models/{wanted.name}/{digest[:16]}/model.tar.gz"
            size = archive.stat().st_size
            return client.put(bucket, key, file, size, "application/gzip"), digest, environment


def _check_archive(path: Path) -> None:
    """Whether a file begins as an archive does, before gigabytes of it are sent."""
    try:
        with tarfile.open(path, "r:gz") as archive:
            archive.next()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as failure:
        rule = "a model's archive must be a tar file packed by gzip"
        way_out = "Name the model's folder, or pack it: modelwright serve pack FOLDER -o model.tar.gz."
        raise SettingError(rule, where=str(path), value=str(failure), way_out=way_out) from failure


def _configuration(wanted: Deployment, bucket: str, model: str) -> dict[str, Any]:
    variant = {
        "VariantName": VARIANT,
        "ModelName": model,
        "InitialInstanceCount": max(1, wanted.instances),
        "InitialVariantWeight": 1.0,
    }
    config: dict[str, Any] = {"ProductionVariants": [variant]}
    if wanted.asynchronous:
        output: dict[str, Any] = {
            "S3OutputPath": f"s3://{bucket}/outputs/{wanted.name}",
            "S3FailurePath": f"s3://{bucket}/failures/{wanted.name}",
        }
        topics = {"SuccessTopic": wanted.success_topic, "ErrorTopic": wanted.error_topic}
        if told := {key: value for key, value in topics.items() if value}:
            output["NotificationConfig"] = told
        client = {"MaxConcurrentInvocationsPerInstance": wanted.concurrency}
        config["AsyncInferenceConfig"] = {"OutputConfig": output, "ClientConfig": client}
    return config


def _scale(client: Client, name: str, scaled: Scaled) -> None:
    which = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{name}/variant/{VARIANT}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    bounds = {"MinCapacity": scaled.least, "MaxCapacity": scaled.most}
    client.operate("application-autoscaling", "RegisterScalableTarget", which | bounds)
    metric = {
        "MetricName": "ApproximateBacklogSizePerInstance",
        "Namespace": "AWS/SageMaker",
        "Dimensions": [{"Name": "EndpointName", "Value": name}],
        "Statistic": "Average",
    }
    rule = {
        "TargetValue": scaled.target,
        "CustomizedMetricSpecification": metric,
        "ScaleInCooldown": scaled.cooldown_s,
        "ScaleOutCooldown": scaled.cooldown_s,
    }
    policy = {
        "PolicyName": "backlog",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": rule,
    }
    client.operate("application-autoscaling", "PutScalingPolicy", which | policy)


def _unless_there(make: Callable[[], object]) -> None:
    """Make something whose name tells its content; one that is there already is the same."""
    try:
        make()
    except RefusedError as failure:
        if "name of its own" not in str(failure):
            raise


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            found.update(piece)
    return found.hexdigest()
