"""Whatever is sent, on whichever route: it is answered, never by a failure of the server, and the server lives on."""

import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwright.serve.aws import exchange
from modelwright.serve.aws.autoscaling import OPERATIONS as SCALING
from modelwright.serve.aws.cloudwatch import OPERATIONS as WATCHING
from modelwright.serve.aws.sagemaker import OPERATIONS as MODELS
from modelwright.serve.aws.sns import OPERATIONS as TOPICS

TARGETS = (
    *(f"SageMaker.{name}" for name in MODELS),
    *(f"AnyScaleFrontendService.{name}" for name in SCALING),
    *(f"GraniteServiceVersion20100801.{name}" for name in WATCHING),
    "SageMaker.Nonsense",
    "Nonsense",
)
WORDS = (
    "EndpointName", "EndpointConfigName", "ModelName", "ProductionVariants", "VariantName", "AsyncInferenceConfig",
    "OutputConfig", "PrimaryContainer", "ModelDataUrl", "Tags", "ResourceArn", "NextToken", "MaxResults", "ResourceId",
    "ServiceNamespace", "ScalableDimension", "MinCapacity", "MaxCapacity", "PolicyName", "PolicyType", "MetricName",
    "TargetTrackingScalingPolicyConfiguration", "StepScalingPolicyConfiguration", "Namespace", "StartTime", "EndTime",
    "MetricDataQueries", "MetricData", "Period", "Statistics", "AlarmName", "AlarmNames", "Threshold", "Dimensions",
)  # fmt: skip
VALUES = ("sagemaker", "endpoint/a/variant/b", "sagemaker:variant:DesiredInstanceCount", "a", "-", "", "\0", "é" * 70,
          "s3://b/k", "https://x", "arn:aws:sagemaker:us-east-1:000000000000:endpoint/a", "1e999", "../..")  # fmt: skip
plain = st.text(st.characters(codec="latin-1", exclude_categories=("Cc",)), max_size=30)
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(VALUES))
contents = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(WORDS), inner, max_size=5)),
    max_leaves=12,
)
HEADERS = (
    "content-type", "range", "if-match", "if-none-match", "if-modified-since", "x-amz-copy-source", "content-md5",
    "x-amz-checksum-crc32", "x-amz-checksum-crc64nvme", "x-amz-checksum-sha256", "x-amz-content-sha256",
    "x-amz-decoded-content-length",
    "x-amz-meta-a", "content-encoding", "authorization", "x-amz-date", "x-amzn-sagemaker-inference-id",
    "x-amzn-sagemaker-inputlocation", "x-amzn-sagemaker-requestttlseconds", "x-amzn-sagemaker-filename",
    "x-amzn-sagemaker-target-variant", "x-modelwright-priority", "x-amz-metadata-directive", "x-amz-trailer",
)  # fmt: skip
SAID = ("bytes=0-", "bytes=9-1", "bytes=-", '"x"', "*", "a/b", "/things/none", "AAAA",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "aws-chunked", "99999999999", "-1", "x",
        "Wed, 21 Oct 2015 07:28:00 GMT", "20260101T000000Z",
        "AWS4-HMAC-SHA256 Credential=a/b/c/s3/aws4_request, SignedHeaders=host, Signature=00", "s3://things/none",
        "x-amz-checksum-crc32", "REPLACE", "application/x-www-form-urlencoded", "é")  # fmt: skip
PARTS = ("things", "none", "a", "..", "%2e%2e", "%00", "%E9", "%C3%A9", "", "-", "endpoints", "invocations",
         "async-invocations", "%F0%9F%98%80", "x" * 1100)  # fmt: skip
QUERY = ("list-type=2", "uploads", "uploadId=x", "partNumber=1", "partNumber=x", "delete", "location", "acl",
         "prefix=%C3", "delimiter=/", "max-keys=0", "max-keys=x", "continuation-token=x", "encoding-type=url",
         "marker=a", "tagging",
         "X-Amz-Algorithm=AWS4-HMAC-SHA256", "Action=Publish&Version=2010-03-31", "versioning", "part-number-marker=x",
         "response-content-type=a%0ab")  # fmt: skip


@pytest.fixture(scope="module")
def ask(server: Any) -> Any:
    """Asks the server; the status."""
    server.client("s3").create_bucket(Bucket="things")
    parts = urlsplit(server.url)

    def asks(method: str, path: str, body: bytes = b"", headers: Any = ()) -> int:
        line = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
        try:
            line.putrequest(method, path, skip_accept_encoding=True)
            named = dict(headers)
            for name, value in {"content-length": str(len(body)), **named}.items():
                line.putheader(name, value.encode("utf-8", "replace"))
            line.endheaders(body)
            answer = line.getresponse()
            answer.read()
            return answer.status
        finally:
            line.close()

    return asks


many = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
headers = st.lists(st.tuples(st.sampled_from(HEADERS), st.one_of(st.sampled_from(SAID), plain)), max_size=4)


@many
@given(st.sampled_from(TARGETS), st.one_of(contents, st.binary(max_size=60)), headers)
def test_operations_in_json(ask: Any, target: str, content: Any, more: Any) -> None:
    body = content if isinstance(content, bytes) else json.dumps(content).encode("utf-8", "replace")
    kind = [("x-amz-target", target), ("content-type", "application/x-amz-json-1.1")]
    assert ask("POST", "/", body, [*more, *kind]) < 500


@many
@given(
    st.sampled_from([*TOPICS, "Nonsense", "GetCallerIdentity"]),
    st.dictionaries(
        st.sampled_from(["TopicArn", "Name", "Protocol", "Endpoint", "Message", "MessageStructure", "Token",
                         "NextToken", "SubscriptionArn", "AttributeName", "AttributeValue", "Attributes.entry.1.key",
                         "PublishBatchRequestEntries.member.1.Id", "PublishBatchRequestEntries.member.x.Id"]),
        st.one_of(st.sampled_from([*VALUES, "arn:aws:sns:us-east-1:000000000000:a", "http", "json", "{"]),
                  st.text(max_size=20)),
        max_size=6,
    ),
)  # fmt: skip
def test_operations_in_forms(ask: Any, action: str, fields: dict[str, str]) -> None:
    from urllib.parse import urlencode

    body = urlencode({"Action": action, "Version": "2010-03-31", **fields}, errors="replace").encode()
    assert ask("POST", "/", body, [("content-type", "application/x-www-form-urlencoded")]) < 500


@many
@given(
    st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS"]),
    st.lists(st.sampled_from(PARTS), max_size=3),
    st.lists(st.sampled_from(QUERY), max_size=3),
    st.binary(max_size=200),
    headers,
)
def test_buckets_objects_and_endpoints(
    ask: Any, method: str, parts: list[str], query: list[str], body: bytes, more: Any
) -> None:
    path = "/" + "/".join(parts) + ("?" + "&".join(query) if query else "")
    assert ask(method, path, body, more) not in (500, 502, 504)


@many
@given(st.binary(max_size=120), st.sampled_from(["things/x", "endpoints/none/async-invocations"]))
def test_bodies_in_chunks_that_are_none(ask: Any, body: bytes, where: str) -> None:
    told = [("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", "10"), ("x-amz-trailer", "x-amz-checksum-crc32")]  # fmt: skip
    assert ask("PUT" if where.startswith("things") else "POST", f"/{where}", body, told) < 500


def test_lines_that_are_no_http_and_clients_that_go_away_leave_it_up(server: Any, ask: Any) -> None:
    parts = urlsplit(server.url)
    half = b"PUT /things/half HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nfew"
    long = b"GET " + b"/" * 100_000 + b" HTTP/1.1\r\n\r\n"
    for said in (b"\0" * 100, b"GET / HTTP/9.9\r\n\r\n", half, long, b"POST / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000):
        with socket.create_connection((parts.hostname, parts.port), timeout=20) as line:
            line.sendall(said)
    assert ask("GET", "/things") == 200
    assert ask("HEAD", "/things/half") == 404


def test_bodies_that_are_too_long_are_refused_before_they_are_read(ask: Any) -> None:
    long = [("content-length", str(10**12))]
    assert ask("PUT", "/things/long", b"", long) == 400
    assert ask("POST", "/", b"", [*long, ("x-amz-target", "SageMaker.ListModels")]) == 413
    assert ask("POST", "/endpoints/none/async-invocations", b"x" * 200_000) in (400, 413)


@pytest.mark.parametrize(
    "framing",
    ["content-length: 1000\r\n\r\nfew", "transfer-encoding: chunked\r\n\r\n5\r\nfew"],
    ids=["length", "chunks"],
)
def test_a_client_that_is_silent_amid_a_body_is_answered(
    server: Any, ask: Any, framing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "SILENCE_S", 0.2)
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as line:
        line.sendall(f"PUT /things/silent HTTP/1.1\r\nhost: localhost\r\n{framing}".encode())
        with line.makefile("rb") as answer:
            assert b"RequestTimeout" in answer.read()  # the server answers and hangs up
    assert ask("HEAD", "/things/silent") == 404
