"""AWS's own S3 client finds what it finds at S3."""

import hashlib
import io
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError


def code(failure: Any) -> str:
    return failure.value.response["Error"]["Code"]


@pytest.fixture(scope="module")
def s3(server: Any) -> Any:
    client = server.client("s3")
    client.create_bucket(Bucket="things")
    return client


def test_what_was_put_is_got_whole_in_ranges_and_under_conditions(s3: Any) -> None:
    body = bytes(range(256)) * 4000
    put = s3.put_object(Bucket="things", Key="a b/c+d/é", Body=body, ContentType="a/b", Metadata={"who": "me"},
                        CacheControl="no-cache")  # fmt: skip
    assert put["ETag"] == f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
    got = s3.get_object(Bucket="things", Key="a b/c+d/é")
    assert got["Body"].read() == body
    assert (got["ContentType"], got["Metadata"], got["CacheControl"]) == ("a/b", {"who": "me"}, "no-cache")
    part = s3.get_object(Bucket="things", Key="a b/c+d/é", Range="bytes=10-19")
    assert part["Body"].read() == body[10:20]
    assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert part["ContentRange"] == f"bytes 10-19/{len(body)}"
    assert s3.get_object(Bucket="things", Key="a b/c+d/é", Range="bytes=-5")["Body"].read() == body[-5:]
    assert s3.head_object(Bucket="things", Key="a b/c+d/é")["ContentLength"] == len(body)
    with pytest.raises(ClientError) as told:
        s3.get_object(Bucket="things", Key="a b/c+d/é", IfNoneMatch=put["ETag"])
    assert code(told) == "304"
    with pytest.raises(ClientError) as told:
        s3.get_object(Bucket="things", Key="a b/c+d/é", IfMatch='"other"')
    assert code(told) == "PreconditionFailed"
    with pytest.raises(ClientError) as told:
        s3.put_object(Bucket="things", Key="a b/c+d/é", Body=b"", IfNoneMatch="*")
    assert code(told) == "PreconditionFailed"
    with pytest.raises(ClientError) as told:
        s3.get_object(Bucket="things", Key="a b/c+d/é", Range=f"bytes={len(body)}-")
    assert code(told) == "InvalidRange"


def test_what_is_not_there_is_told_as_s3_tells_it(s3: Any) -> None:
    for ask, wanted in (
        (lambda: s3.get_object(Bucket="things", Key="none"), "NoSuchKey"),
        (lambda: s3.get_object(Bucket="nowhere", Key="none"), "NoSuchBucket"),
        (lambda: s3.head_object(Bucket="things", Key="none"), "404"),
        (lambda: s3.head_bucket(Bucket="nowhere"), "404"),
        (lambda: s3.create_bucket(Bucket="things"), "BucketAlreadyOwnedByYou"),
        (lambda: s3.get_bucket_acl(Bucket="things"), "NotImplemented"),
        (lambda: s3.complete_multipart_upload(Bucket="things", Key="x", UploadId="none", MultipartUpload={"Parts": []}),
         "NoSuchUpload"),
    ):  # fmt: skip
        with pytest.raises(ClientError) as told:
            ask()
        assert code(told) == wanted
    s3.delete_object(Bucket="things", Key="none")


def test_lists_come_in_pages_in_order_with_common_prefixes(s3: Any) -> None:
    s3.create_bucket(Bucket="lists")
    keys = sorted(["a/1", "a/2", "b", "c/x/1", "c/x/2", "é?&=", "d e"], key=str.encode)
    for key in keys:
        s3.put_object(Bucket="lists", Key=key, Body=b"x")
    for name in ("list_objects_v2", "list_objects"):
        pages = s3.get_paginator(name).paginate(Bucket="lists", PaginationConfig={"PageSize": 2})
        assert [one["Key"] for page in pages for one in page.get("Contents", [])] == keys
    found = s3.list_objects_v2(Bucket="lists", Delimiter="/")
    assert [one["Prefix"] for one in found["CommonPrefixes"]] == ["a/", "c/"]
    assert [one["Key"] for one in found["Contents"]] == [key for key in keys if "/" not in key]
    assert {one["Name"] for one in s3.list_buckets()["Buckets"]} >= {"lists", "things"}
    with pytest.raises(ClientError) as told:
        s3.delete_bucket(Bucket="lists")
    assert code(told) == "BucketNotEmpty"
    gone = s3.delete_objects(Bucket="lists", Delete={"Objects": [{"Key": key} for key in keys]})
    assert {one["Key"] for one in gone["Deleted"]} == set(keys)
    s3.delete_bucket(Bucket="lists")


def test_uploads_in_parts_copies_and_files_of_some_size(s3: Any) -> None:
    body = hashlib.shake_128(b"seed").digest(11 * 1024 * 1024)
    s3.upload_fileobj(io.BytesIO(body), "things", "big")
    entry = s3.head_object(Bucket="things", Key="big")
    assert entry["ETag"].endswith('-2"')
    found = io.BytesIO()
    s3.download_fileobj("things", "big", found)
    assert found.getvalue() == body
    s3.copy_object(Bucket="things", Key="copy", CopySource={"Bucket": "things", "Key": "big"})
    assert s3.head_object(Bucket="things", Key="copy")["ContentLength"] == len(body)
    upload = s3.create_multipart_upload(Bucket="things", Key="parts")["UploadId"]
    which = {"Bucket": "things", "Key": "parts", "UploadId": upload}
    source = {"Bucket": "things", "Key": "big"}
    one = s3.upload_part_copy(**which, PartNumber=1, CopySource=source, CopySourceRange="bytes=0-5242879")
    two = s3.upload_part(**which, PartNumber=2, Body=b"end")
    assert [part["PartNumber"] for part in s3.list_parts(**which)["Parts"]] == [1, 2]
    assert [row["UploadId"] for row in s3.list_multipart_uploads(Bucket="things")["Uploads"]] == [upload]
    parts = [{"PartNumber": 1, "ETag": one["CopyPartResult"]["ETag"]}, {"PartNumber": 2, "ETag": two["ETag"]}]
    s3.complete_multipart_upload(Bucket="things", Key="parts", UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket="things", Key="parts")["Body"].read() == body[:5242880] + b"end"
    other = s3.create_multipart_upload(Bucket="things", Key="parts")["UploadId"]
    s3.abort_multipart_upload(Bucket="things", Key="parts", UploadId=other)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="things")


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_a_body_that_is_not_what_was_told_is_refused(s3: Any, server: Any, algorithm: str) -> None:
    put = s3.put_object(Bucket="things", Key="summed", Body=b"whole", ChecksumAlgorithm=algorithm)
    assert put[f"Checksum{algorithm}"]
    with pytest.raises(ClientError) as told:
        s3.put_object(Bucket="things", Key="broken", Body=b"whole", **{f"Checksum{algorithm}": "AAAAAA=="})
    assert code(told) == "BadDigest"
    with pytest.raises(ClientError):
        s3.head_object(Bucket="things", Key="broken")


def test_with_keys_only_who_signs_is_answered(serve: Any) -> None:
    server = serve({"AKID": "a secret/with+signs"})
    good = server.client("s3", "AKID")
    good.create_bucket(Bucket="mine")
    good.put_object(Bucket="mine", Key="k y", Body=b"x" * 100_000)
    assert len(good.get_object(Bucket="mine", Key="k y")["Body"].read()) == 100_000
    for client, wanted in (
        (server.client("s3", "AKID2"), "InvalidAccessKeyId"),
        (server.client("s3", "other", "secret"), "InvalidAccessKeyId"),
    ):
        with pytest.raises(ClientError) as told:
            client.list_buckets()
        assert code(told) == wanted
    server.keys["AKID"], kept = "wrong", server.keys["AKID"]
    wrong = server.client("s3", "AKID")
    server.keys["AKID"] = kept
    with pytest.raises(ClientError) as told:
        wrong.list_buckets()
    assert code(told) == "SignatureDoesNotMatch"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{server.url}/mine/k%20y")
    assert refused.value.code == 403
    address = server.client("s3", "AKID", signature_version="s3v4").generate_presigned_url(
        "get_object", Params={"Bucket": "mine", "Key": "k y"}, ExpiresIn=60
    )
    with urllib.request.urlopen(address) as answer:
        assert len(answer.read()) == 100_000
    who = server.client("sts", "AKID").get_caller_identity()
    assert who["Account"] == "000000000000"
    assert server.client("sns", "AKID").list_topics()["Topics"] == []
    assert server.client("sagemaker", "AKID").list_models()["Models"] == []
