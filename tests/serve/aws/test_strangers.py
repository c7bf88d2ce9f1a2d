"""With keys nobody gets in by a request that is signed for something else, in part, or not at all."""

import asyncio
import http.client
import json
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from modelwright.errors import RefusedError
from modelwright.serve.aws import Access
from modelwright.serve.signing import Asked, Keys, sign

KEYS = {"AKID": "a secret/with+signs"}
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def guarded(serve: Any) -> Any:
    """A server with keys, a bucket, two objects and a topic."""
    server = serve(dict(KEYS))
    s3 = server.client("s3", "AKID")
    s3.create_bucket(Bucket="mine")
    for key in ("open", "closed"):
        s3.put_object(Bucket="mine", Key=key, Body=key.encode())
    server.topic = server.client("sns", "AKID").create_topic(Name="things")["TopicArn"]
    return server


def sent(url: str, method: str = "GET", body: bytes = b"", headers: Any = ()) -> tuple[int, str]:
    request = urllib.request.Request(url, data=body or None, method=method, headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as failure:
        return failure.code, failure.read().decode()


def beforehand(server: Any, method: str, key: str) -> str:
    client = server.client("s3", "AKID", signature_version="s3v4")
    return client.generate_presigned_url(method, Params={"Bucket": "mine", "Key": key}, ExpiresIn=60)


def test_a_link_that_needs_no_key_carries_nothing_else(guarded: Any) -> None:
    link = f"{guarded.url}/?Action=Unsubscribe&SubscriptionArn=none&Version=2010-03-31"
    assert sent(link)[0] == 200
    delete = urlencode({"Action": "DeleteTopic", "TopicArn": guarded.topic}).encode()
    sent(link, "GET", delete, {"content-type": FORM})
    sent(f"{link}&Action=DeleteTopic&TopicArn={guarded.topic}")
    topics = guarded.client("sns", "AKID").list_topics()["Topics"]
    assert [one["TopicArn"] for one in topics] == [guarded.topic]
    for target in ("SageMaker.ListModels", "AnyScaleFrontendService.DescribeScalableTargets"):
        assert sent(link, "GET", b"{}", {"x-amz-target": target})[0] == 403


def test_what_is_allowed_beforehand_allows_nothing_else(guarded: Any) -> None:
    put = beforehand(guarded, "put_object", "written")
    status, said = sent(put, "PUT", b"", {"x-amz-copy-source": "mine/closed", "content-length": "0"})
    assert (status, "must all be signed" in said) == (403, True)
    assert sent(put, "PUT", b"body")[0] == 200
    assert sent(beforehand(guarded, "get_object", "written"))[1] == "body"
    got = beforehand(guarded, "get_object", "open")
    assert sent(got, "GET", b"{}", {"x-amz-target": "SageMaker.ListModels"})[0] == 403
    assert sent(got.replace("/open?", "/closed?"))[0] == 403


def test_a_key_is_narrowed_down_to_a_service(guarded: Any) -> None:
    url, headers = f"{guarded.url}/", {"X-Amz-Target": "SageMaker.ListModels"}
    for service, wanted in (("sagemaker", 200), ("monitoring", 403), ("s3", 403)):
        request = AWSRequest("POST", url, data=b"{}", headers=headers)
        SigV4Auth(Credentials("AKID", KEYS["AKID"]), service, "us-east-1").add_auth(request)
        made = request.prepare()
        assert sent(url, "POST", b"{}", made.headers)[0] == wanted, service


def test_who_someone_is_can_be_shown_by_an_address(guarded: Any) -> None:
    query = "Action=GetCallerIdentity&Version=2011-06-15"
    request = AWSRequest("GET", f"{guarded.url}/?{query}")
    SigV4QueryAuth(Credentials("AKID", KEYS["AKID"]), "sts", "us-east-1", expires=60).add_auth(request)
    status, said = sent(request.prepare().url)
    assert (status, "user/AKID" in said) == (200, True)


@pytest.mark.parametrize("operation", ["delete", "complete"])
def test_a_body_is_the_one_that_was_signed(guarded: Any, operation: str) -> None:
    s3 = guarded.client("s3", "AKID")
    if operation == "delete":
        asks, named = s3.meta.events, {"Bucket": "mine", "Delete": {"Objects": [{"Key": "none"}]}}
    else:
        upload = s3.create_multipart_upload(Bucket="mine", Key="parts")["UploadId"]
        part = s3.upload_part(Bucket="mine", Key="parts", UploadId=upload, PartNumber=1, Body=b"x")
        parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
        asks, named = s3.meta.events, {"Bucket": "mine", "Key": "parts", "UploadId": upload}
        named["MultipartUpload"] = {"Parts": parts}

    def changed(request: Any, **_: Any) -> None:
        body = request.body if isinstance(request.body, bytes) else request.body.read()
        request.body = body.replace(b"none", b"open").replace(b"<PartNumber>1<", b"<PartNumber>2<")

    asks.register("before-send.s3", changed)
    with pytest.raises(Exception, match=r"must have the (digest|Content-MD5|x-amz-checksum)"):
        s3.delete_objects(**named) if operation == "delete" else s3.complete_multipart_upload(**named)
    assert guarded.client("s3", "AKID").get_object(Bucket="mine", Key="open")["Body"].read() == b"open"


def test_numbers_that_are_none_are_told_so(server: Any) -> None:
    server.client("s3").create_bucket(Bucket="numbers")
    server.client("s3").put_object(Bucket="numbers", Key="k", Body=b"0123456789")
    many = "9" * 5000
    chunked = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-decoded-content-length": "1"}
    for method, path, body, headers in (
        ("GET", "/numbers?list-type=2&max-keys=%C2%B2", b"", {}),
        ("GET", f"/numbers?list-type=2&max-keys={many}", b"", {}),
        ("PUT", "/numbers/k?uploadId=x&partNumber=%C2%B2", b"x", {}),
        ("GET", "/numbers/k", b"", {"range": f"bytes={many}-"}),
        ("GET", f"/numbers/k?{'a=b&' * 600}", b"", {}),
        ("GET", "/numbers/k?response-content-type=a%0ab", b"", {}),
        ("PUT", "/numbers/x", b"-1\r\nX", chunked),
        ("PUT", "/numbers/x", b"0x1\r\nx\r\n0\r\n\r\n", chunked),
        ("PUT", "/numbers/x", b"1\r\nx\r\n0\r\n" + b"a: b\r\n" * 100_000, chunked),
        ("PUT", "/numbers/x", b"x", {**chunked, "x-amz-decoded-content-length": many}),
        ("PUT", "/numbers/x", b"x", {**chunked, "x-amz-decoded-content-length": "\u00b2"}),
        ("PUT", "/numbers/x", b"1\r\nx\r\n0\r\n\r\n", {**chunked, "x-amz-trailer": "x-amz-checksum-crc32"}),
        ("POST", "/", b"Action=PublishBatch&TopicArn=x&PublishBatchRequestEntries.member.%C2%B2.Id=a",
         {"content-type": FORM}),
        ("POST", "/", json.dumps({"Namespace": "n", "MetricData": [{"MetricName": "m", "Value": 1.0,
                                  "Timestamp": 1e300}]}).encode(), _TO_CLOUDWATCH | _named("PutMetricData")),
        ("POST", "/", json.dumps({"Namespace": "n", "MetricName": "m", "Statistics": ["Sum"], "Period": 60,
                                  "StartTime": 1e300, "EndTime": 1.1e300}).encode(),
         _TO_CLOUDWATCH | _named("GetMetricStatistics")),
        ("POST", "/", _alarm(Period=10**30), _TO_CLOUDWATCH | _named("PutMetricAlarm")),
        ("POST", "/", _alarm(EvaluationPeriods=10**12), _TO_CLOUDWATCH | _named("PutMetricAlarm")),
        ("POST", "/", _alarm(DatapointsToAlarm=3), _TO_CLOUDWATCH | _named("PutMetricAlarm")),
    ):  # fmt: skip
        status = _asked(server, method, path, body, headers)
        wanted = (200, 400, 404, 416) if method == "GET" else (400, 404)
        assert status in wanted, (method, path[:80], headers)
    with pytest.raises(Exception, match="Not Found"):
        server.client("s3").head_object(Bucket="numbers", Key="x")


_TO_CLOUDWATCH = {"content-type": "application/x-amz-json-1.0"}


def _named(operation: str) -> dict[str, str]:
    return {"x-amz-target": f"GraniteServiceVersion20100801.{operation}"}


def _alarm(**more: Any) -> bytes:
    alarm = {"AlarmName": "a", "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold", "MetricName": "m",
             "Namespace": "n", "Threshold": 1.0, "Period": 60}  # fmt: skip
    return json.dumps(alarm | more).encode()


def _asked(server: Any, method: str, path: str, body: bytes, headers: dict[str, str]) -> int:
    parts = urlsplit(server.url)
    line = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    try:
        line.request(method, path, body, {name: value.encode("latin-1") for name, value in headers.items()})
        answer = line.getresponse()
        answer.read()
        return answer.status
    finally:
        line.close()


@pytest.mark.parametrize(("service", "let_in"), [("modelwright", True), ("s3", False), ("", False)])
def test_the_console_is_asked_by_signatures_for_it_alone(service: str, let_in: bool) -> None:
    headers = {"host": "h"}
    now = datetime(2026, 1, 2, tzinfo=UTC)
    if service:
        asked = Asked("GET", "/-/api/status", [], headers)
        headers |= sign(asked, b"", Keys("AKID", KEYS["AKID"]), ("us-east-1", service), now)
    lines = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": "/-/api/status", "query_string": b"", "headers": lines}
    asks = Access(KEYS).check_plain(scope, b"", now)
    if let_in:
        asyncio.run(asks)
    else:
        with pytest.raises(RefusedError, match="signed for the service modelwright"):
            asyncio.run(asks)
