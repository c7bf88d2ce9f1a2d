"""The article's way through SageMaker: endpoint, asynchronous requests, scaling, topics, metrics, and clean-up."""

import io
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from botocore.exceptions import ClientError

from modelwright.serve.packing import pack

MODEL = """
    import json
    def model_fn(folder):
        return None
    def transform_fn(model, body, content_type, accept):
        said = json.loads(body)
        if said.get("wrong"):
            raise RuntimeError("no summary of this")
        return json.dumps({"summary": said["inputs"].split(".")[0]})
"""


def code(failure: Any) -> str:
    return failure.value.response["Error"]["Code"]


def until(true: Any, patience_s: float = 60.0) -> Any:
    end = time.monotonic() + patience_s
    while not (found := true()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def hook() -> Any:
    """A receiver of messages over HTTP, which confirms its subscriptions."""
    heard: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["content-length"])))
            heard.append(said)
            self.send_response(200)
            self.end_headers()
            if said.get("Type") == "SubscriptionConfirmation":
                threading.Thread(target=lambda: urlopen(said["SubscribeURL"]).read()).start()

        def log_message(self, *words: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", heard
    server.shutdown()


def test_the_published_way_from_create_model_to_delete_endpoint(server: Any, hook: Any) -> None:
    sagemaker, runtime = server.client("sagemaker"), server.client("sagemaker-runtime")
    scaling, watch = server.client("application-autoscaling"), server.client("cloudwatch")
    sns, s3 = server.client("sns"), server.client("s3")
    address, heard = hook
    topics = {name: sns.create_topic(Name=name)["TopicArn"] for name in ("success", "error")}
    for topic in topics.values():
        sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=address)
    until(lambda: all(
        one["SubscriptionArn"] != "PendingConfirmation" for one in sns.list_subscriptions()["Subscriptions"]
    ))  # fmt: skip

    bucket = "sagemaker-us-east-1-000000000000"
    role = "arn:aws:iam::000000000000:role/anything"
    sagemaker.create_model(
        ModelName="summarizer",
        PrimaryContainer={"Image": "any", "ModelDataUrl": s3_model(server, s3, bucket), "Environment": {"A": "b"}},
        ExecutionRoleArn=role,
    )
    assert sagemaker.describe_model(ModelName="summarizer")["PrimaryContainer"]["Environment"] == {"A": "b"}
    asynchronous = {
        "OutputConfig": {
            "S3OutputPath": f"s3://{bucket}/output",
            "S3FailurePath": f"s3://{bucket}/failure",
            "NotificationConfig": {"SuccessTopic": topics["success"], "ErrorTopic": topics["error"]},
        },
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 4},
    }
    variant = {"VariantName": "variant1", "ModelName": "summarizer", "InitialInstanceCount": 1,
               "InstanceType": "ml.m5.xlarge"}  # fmt: skip
    sagemaker.create_endpoint_config(
        EndpointConfigName="config", ProductionVariants=[variant], AsyncInferenceConfig=asynchronous
    )
    assert sagemaker.describe_endpoint_config(EndpointConfigName="config")["AsyncInferenceConfig"] == asynchronous
    sagemaker.create_endpoint(EndpointName="pegasus", EndpointConfigName="config")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="pegasus", WaiterConfig={"Delay": 1})

    s3.put_object(Bucket=bucket, Key="input.json", Body=json.dumps({"inputs": "First. Second."}))
    asked = runtime.invoke_endpoint_async(
        EndpointName="pegasus", InputLocation=f"s3://{bucket}/input.json", ContentType="application/json"
    )
    assert asked["ResponseMetadata"]["HTTPStatusCode"] == 202
    key = asked["OutputLocation"].removeprefix(f"s3://{bucket}/")
    s3.get_waiter("object_exists").wait(Bucket=bucket, Key=key, WaiterConfig={"Delay": 1})
    assert json.load(s3.get_object(Bucket=bucket, Key=key)["Body"]) == {"summary": "First"}
    wrong = runtime.invoke_endpoint_async(
        EndpointName="pegasus", Body=json.dumps({"wrong": 1}), ContentType="application/json", InferenceId="bad one"
    )
    until(lambda: sum(one["Type"] == "Notification" for one in heard) == 2)
    said = {json.loads(one["Message"])["inferenceId"]: one for one in heard if one["Type"] == "Notification"}
    done = json.loads(said[asked["InferenceId"]]["Message"])
    assert done["invocationStatus"] == "Completed"
    assert done["responseParameters"]["outputLocation"] == asked["OutputLocation"]
    failed = json.loads(said["bad one"]["Message"])
    assert failed["invocationStatus"] == "Failed"
    assert "no summary of this" in failed["failureReason"] or "500" in failed["failureReason"]
    place = wrong["FailureLocation"].removeprefix(f"s3://{bucket}/")
    assert s3.get_object(Bucket=bucket, Key=place)["Body"].read()

    scales(server, scaling, watch)
    first = lambda: sagemaker.describe_endpoint(EndpointName="pegasus")["ProductionVariants"][0]  # noqa: E731
    until(lambda: first()["CurrentInstanceCount"] == 0)
    asked = runtime.invoke_endpoint_async(EndpointName="pegasus", Body=b'{"inputs": "Awake."}')
    key = asked["OutputLocation"].removeprefix(f"s3://{bucket}/")
    s3.get_waiter("object_exists").wait(Bucket=bucket, Key=key, WaiterConfig={"Delay": 1})
    activities = scaling.describe_scaling_activities(ServiceNamespace="sagemaker")["ScalingActivities"]
    assert {one["StatusCode"] for one in activities} <= {"Successful", "InProgress", "Pending"}
    wanted = {"ApproximateBacklogSize", "ModelLatency", "InvocationsProcessed"}
    until(lambda: wanted <= {one["MetricName"] for one in watch.list_metrics(Namespace="AWS/SageMaker")["Metrics"]})

    with pytest.raises(ClientError) as told:  # the article's own slip
        scaling.deregister_scalable_target(
            ServiceNamespace="sagemaker", ResourceId="resource_id",
            ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        )  # fmt: skip
    assert code(told) == "ObjectNotFoundException"
    scaling.deregister_scalable_target(
        ServiceNamespace="sagemaker", ResourceId="endpoint/pegasus/variant/variant1",
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
    )  # fmt: skip
    assert scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"] == []
    assert watch.describe_alarms(AlarmNamePrefix="TargetTracking-")["MetricAlarms"] == []
    sagemaker.delete_endpoint(EndpointName="pegasus")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="pegasus", WaiterConfig={"Delay": 1})
    sagemaker.delete_endpoint_config(EndpointConfigName="config")
    sagemaker.delete_model(ModelName="summarizer")
    assert sagemaker.list_endpoints()["Endpoints"] == []


def s3_model(server: Any, s3: Any, bucket: str) -> str:
    """A model.tar.gz in the store."""
    archive = server.folder / "model.tar.gz"
    pack(Path(server.model("summarizer", MODEL)), archive)
    s3.upload_file(str(archive), bucket, "model/model.tar.gz")
    return f"s3://{bucket}/model/model.tar.gz"


def scales(server: Any, scaling: Any, watch: Any) -> None:
    """Register a target of 0 to 5 with a policy of 5 a instance, and see what came of it."""
    which = {"ServiceNamespace": "sagemaker", "ResourceId": "endpoint/pegasus/variant/variant1",
             "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}  # fmt: skip
    scaling.register_scalable_target(**which, MinCapacity=0, MaxCapacity=5)
    metric = {
        "MetricName": "ApproximateBacklogSizePerInstance",
        "Namespace": "AWS/SageMaker",
        "Dimensions": [{"Name": "EndpointName", "Value": "pegasus"}],
        "Statistic": "Average",
    }
    rule = {
        "TargetValue": 5.0,
        "CustomizedMetricSpecification": metric,
        "ScaleInCooldown": 120,
        "ScaleOutCooldown": 120,
    }
    policy = scaling.put_scaling_policy(
        PolicyName="Invocations-ScalingPolicy", **which, PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=rule,
    )  # fmt: skip
    assert ["AlarmHigh" in one["AlarmName"] for one in policy["Alarms"]] == [True, False]
    [told] = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert told["TargetTrackingScalingPolicyConfiguration"] == rule
    assert {one["AlarmName"] for one in told["Alarms"]} == {one["AlarmName"] for one in policy["Alarms"]}
    alarms = watch.describe_alarms(AlarmNamePrefix="TargetTracking-")["MetricAlarms"]
    assert {one["Threshold"] for one in alarms} == {5.0, 4.5}
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"][0]["MaxCapacity"] == 5


def test_what_is_wrong_is_told_with_awss_codes(server: Any) -> None:
    sagemaker, runtime = server.client("sagemaker"), server.client("sagemaker-runtime")
    scaling, sns, watch = server.client("application-autoscaling"), server.client("sns"), server.client("cloudwatch")
    which = {"ServiceNamespace": "sagemaker", "ResourceId": "endpoint/none/variant/v",
             "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}  # fmt: skip
    for ask, wanted in (
        (lambda: sagemaker.describe_endpoint(EndpointName="none"), "ValidationException"),
        (lambda: sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="none"), "ValidationException"),
        (lambda: sagemaker.create_model(ModelName="-bad"), "ValidationException"),
        (lambda: sagemaker.list_endpoints(NextToken="nonsense"), "ValidationException"),
        (lambda: sagemaker.list_training_jobs(), "UnknownOperationException"),
        (lambda: runtime.invoke_endpoint_async(EndpointName="none", Body=b"x"), "ValidationError"),
        (lambda: runtime.invoke_endpoint(EndpointName="none", Body=b"x"), "ValidationError"),
        (lambda: scaling.register_scalable_target(**which, MinCapacity=0, MaxCapacity=1), "ObjectNotFoundException"),
        (lambda: scaling.delete_scaling_policy(PolicyName="p", **which), "ObjectNotFoundException"),
        (lambda: sns.publish(TopicArn="arn:aws:sns:us-east-1:000000000000:none", Message="x"), "NotFound"),
        (lambda: sns.create_topic(Name="a b"), "InvalidParameter"),
        (lambda: watch.delete_alarms(AlarmNames=["none"]), "ResourceNotFound"),
        (lambda: watch.get_metric_statistics(Namespace="n", MetricName="m", StartTime=0, EndTime=60, Period=60,
                                             ExtendedStatistics=["p101"]), "InvalidParameterValue"),
        (lambda: watch.get_metric_statistics(Namespace="n", MetricName="m", StartTime=0, EndTime=60, Period=60,
                                             Statistics=["Sum"], ExtendedStatistics=["p99"]),
         "InvalidParameterCombination"),
        (lambda: watch.put_metric_data(Namespace="Modelwright/Serve", MetricData=[]), "InvalidParameterValue"),
        (lambda: watch.put_metric_data(Namespace="n", MetricData=[{"MetricName": "m", "Values": [1], "Counts": [0]}]),
         "InvalidParameterValue"),
        (lambda: watch.put_metric_data(Namespace="n", MetricData=[{"MetricName": "m", "Values": [1, 1e308]}]),
         "InvalidParameterValue"),
    ):  # fmt: skip
        with pytest.raises(ClientError) as told:
            ask()
        assert code(told) == wanted, wanted


def test_metrics_that_are_put_are_got(server: Any) -> None:
    watch = server.client("cloudwatch")
    where = [{"Name": "Line", "Value": "one"}]
    now = int(time.time()) // 60 * 60
    data = [{"MetricName": "Speed", "Dimensions": where, "Timestamp": now, "Value": value} for value in (1.0, 3.0)]
    watch.put_metric_data(Namespace="Own", MetricData=data)
    stat = {"Metric": {"Namespace": "Own", "MetricName": "Speed", "Dimensions": where}, "Period": 60}
    queries = [{"Id": name.lower(), "MetricStat": {**stat, "Stat": name}} for name in ("Average", "Sum", "SampleCount")]
    got = watch.get_metric_data(MetricDataQueries=queries, StartTime=now - 60, EndTime=now + 60)["MetricDataResults"]
    assert {one["Id"]: one["Values"] for one in got} == {"average": [2.0], "sum": [4.0], "samplecount": [2.0]}
    pages = watch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, StartTime=now - 60, EndTime=now + 60, MaxDatapoints=2
    )
    found = [(one["Id"], value) for page in pages for one in page["MetricDataResults"] for value in one["Values"]]
    assert found == [("average", 2.0), ("sum", 4.0), ("samplecount", 2.0)]
    points = watch.get_metric_statistics(
        Namespace="Own", MetricName="Speed", Dimensions=where, StartTime=now - 60, EndTime=now + 60, Period=60,
        Statistics=["Maximum", "Minimum"],
    )["Datapoints"]  # fmt: skip
    assert [(one["Minimum"], one["Maximum"]) for one in points] == [(1.0, 3.0)]
    data = [{"MetricName": "Size", "Timestamp": now, "Values": [1.0, 50.0, 100.0], "Counts": [98, 1, 1]},
            {"MetricName": "Sums", "Timestamp": now,
             "StatisticValues": {"SampleCount": 2, "Sum": 3, "Minimum": 1, "Maximum": 2}}]  # fmt: skip
    watch.put_metric_data(Namespace="Own", MetricData=data)
    span = {"StartTime": now - 60, "EndTime": now + 60}
    [point] = watch.get_metric_statistics(
        Namespace="Own", MetricName="Size", Period=60, ExtendedStatistics=["p50", "p99.5", "p100"], **span
    )["Datapoints"]
    assert point["ExtendedStatistics"] == {"p50": 1.0, "p99.5": pytest.approx(50.0, rel=0.01), "p100": 100.0}
    for name, wanted in (("Size", [pytest.approx(50.0, rel=0.01)]), ("Sums", [])):
        stat = {"Metric": {"Namespace": "Own", "MetricName": name}, "Period": 60, "Stat": "p99"}
        [got] = watch.get_metric_data(MetricDataQueries=[{"Id": "x", "MetricStat": stat}], **span)["MetricDataResults"]
        assert got["Values"] == wanted
    watch.put_metric_alarm(
        AlarmName="fast", EvaluationPeriods=1, ComparisonOperator="GreaterThanThreshold", MetricName="Speed",
        Namespace="Own", Threshold=2.0, Period=60, Statistic="Average", Dimensions=where,
    )  # fmt: skip
    [alarm] = watch.describe_alarms_for_metric(MetricName="Speed", Namespace="Own", Dimensions=where)["MetricAlarms"]
    assert (alarm["AlarmName"], alarm["Threshold"]) == ("fast", 2.0)
    watch.set_alarm_state(AlarmName="fast", StateValue="ALARM", StateReason="by hand")
    assert watch.describe_alarms(StateValue="ALARM", AlarmNames=["fast"])["MetricAlarms"][0]["StateReason"] == "by hand"
    action = "arn:aws:autoscaling:us-east-1:000000000000:scalingPolicy:x"
    watch.put_metric_alarm(
        AlarmName="fast", EvaluationPeriods=1, ComparisonOperator="GreaterThanThreshold", MetricName="Speed",
        Namespace="Own", Threshold=2.0, Period=60, Statistic="Average", ActionsEnabled=False, AlarmActions=[action],
    )  # fmt: skip
    [alarm] = watch.describe_alarms(AlarmNames=["fast"])["MetricAlarms"]
    assert (alarm["ActionsEnabled"], alarm["AlarmActions"]) == (False, [action])
    watch.delete_alarms(AlarmNames=["fast"])


def test_an_endpoint_that_answers_at_once(server: Any) -> None:
    sagemaker, runtime = server.client("sagemaker"), server.client("sagemaker-runtime")
    location = "s3://sagemaker-us-east-1-000000000000/now.tar.gz"
    sagemaker.create_model(ModelName="now", PrimaryContainer={"ModelDataUrl": location})
    archive = server.folder / "now.tar.gz"
    pack(Path(server.model("now", MODEL)), archive)
    server.client("s3").upload_file(str(archive), "sagemaker-us-east-1-000000000000", "now.tar.gz")
    sagemaker.create_endpoint_config(
        EndpointConfigName="now",
        ProductionVariants=[{"VariantName": "v", "ModelName": "now", "InitialInstanceCount": 1}],
    )
    sagemaker.create_endpoint(EndpointName="now", EndpointConfigName="now", Tags=[{"Key": "a", "Value": "b"}])
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="now", WaiterConfig={"Delay": 1})
    got = runtime.invoke_endpoint(EndpointName="now", Body=b'{"inputs": "At once."}', ContentType="application/json")
    assert json.load(io.BytesIO(got["Body"].read())) == {"summary": "At once"}
    assert got["InvokedProductionVariant"] == "v"
    with pytest.raises(ClientError) as told:
        runtime.invoke_endpoint(EndpointName="now", Body=b'{"wrong": 1}', ContentType="application/json")
    assert code(told) == "ModelError"
    assert told.value.response["OriginalStatusCode"] == 500
    with pytest.raises(ClientError) as told:
        runtime.invoke_endpoint_async(EndpointName="now", Body=b"x")
    assert code(told) == "ValidationError"
    name = sagemaker.describe_endpoint(EndpointName="now")["EndpointArn"]
    assert sagemaker.list_tags(ResourceArn=name)["Tags"] == [{"Key": "a", "Value": "b"}]
    sagemaker.add_tags(ResourceArn=name, Tags=[{"Key": "c", "Value": "d"}])
    sagemaker.delete_tags(ResourceArn=name, TagKeys=["a"])
    assert sagemaker.list_tags(ResourceArn=name)["Tags"] == [{"Key": "c", "Value": "d"}]
    sagemaker.delete_endpoint(EndpointName="now")
