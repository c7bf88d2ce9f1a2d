"""A server under nonsense: every route, some minutes of it, and what that does to its memory.

    python benchmarks/quality/serve_fuzz.py [--requests 6000] [--seed 0] [--device NAME]

starts `modelwright serve up` in a process of its own and sends it requests, drawn at random from what its routes read:
operations with members of the wrong kind, paths and queries of S3, headers that contradict one another, bodies in
chunks that are none, connections that break off. Counts answers by their hundreds, those that took more than five
seconds, and the server's memory before and after; it must be healthy in the end. Writes
benchmarks/results/serve-fuzz-DEVICE.csv.
"""

import argparse
import csv
import http.client
import json
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

sys.path.insert(0, str(Path(__file__).parents[1] / "speed"))

from startup import RESULTS, commit, processor

from modelwright.serve.aws.autoscaling import OPERATIONS as SCALING
from modelwright.serve.aws.cloudwatch import OPERATIONS as WATCHING
from modelwright.serve.aws.sagemaker import OPERATIONS as MODELS
from modelwright.serve.aws.sns import OPERATIONS as TOPICS

PREFIXES = {"SageMaker": MODELS, "AnyScaleFrontendService": SCALING, "GraniteServiceVersion20100801": WATCHING}
MEMBERS = [name for some in PREFIXES.values() for given, _ in some.values() for name in given.__struct_fields__]
FIELDS = (
    "TopicArn", "Name", "Protocol", "Endpoint", "Message", "MessageStructure", "Token", "NextToken", "AttributeName",
    "AttributeValue", "PublishBatchRequestEntries.member.1.Id",
)  # fmt: skip
VALUES = (
    "a",
    "",
    "-1",
    "0",
    "1e999",
    "é" * 300,
    "s3://b/k",
    "arn:aws:sns:us-east-1:000000000000:a",
    "²",
    "\0",
    "{",
    "../..",
)
PARTS = (
    "things",
    "none",
    "a",
    "..",
    "%00",
    "%E9",
    "",
    "endpoints",
    "invocations",
    "async-invocations",
    "-",
    "api",
    "x" * 1200,
)
QUERY = ("list-type=2", "uploads", "uploadId=x", "partNumber=²", "delete", "max-keys=-1", "continuation-token=x", "acl",
         "prefix=%C3", "X-Amz-Algorithm=AWS4-HMAC-SHA256", "Action=Publish", "versioning",
         "response-content-type=a%0d%0ab")  # fmt: skip
HEADERS = {
    "range": ("bytes=0-", "bytes=9-1", "bytes=99999999999-"),
    "if-match": ('"x"', "*"),
    "if-modified-since": ("Wed, 21 Oct 2015 07:28:00 GMT", "never"),
    "x-amz-copy-source": ("/things/a", "a", "%"),
    "content-md5": ("AAAA", "é"),
    "x-amz-checksum-crc32": ("AAAAAA==", "é"),
    "x-amz-content-sha256": ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", "00", "UNSIGNED-PAYLOAD"),
    "x-amz-decoded-content-length": ("10", "-1", "²"),
    "x-amzn-sagemaker-inference-id": ("x", " ", "é"),
    "x-amzn-sagemaker-inputlocation": ("s3://things/none", "ftp://x"),
    "x-amzn-sagemaker-requestttlseconds": ("60", "1", "x"),
    "authorization": ("AWS4-HMAC-SHA256 Credential=a/b/c/s3/aws4_request, SignedHeaders=host, Signature=00", "Basic x"),
}
Asked = tuple[str, str, bytes, dict[str, str]]


def content(draw: random.Random, depth: int = 3) -> Any:
    """A value of some kind."""
    kind = draw.randrange(8 if depth else 6)
    plain = (
        None,
        True,
        draw.randrange(-(10**12), 10**12),
        draw.random() * 1e300,
        draw.choice(VALUES),
        draw.randrange(3),
    )
    if kind < 6:
        return plain[kind]
    if kind == 6:
        return [content(draw, depth - 1) for _ in range(draw.randrange(4))]
    return {draw.choice(MEMBERS): content(draw, depth - 1) for _ in range(draw.randrange(6))}


def drawn(draw: random.Random) -> Asked:
    """A request."""
    more = {name: draw.choice(HEADERS[name]) for name in draw.sample(sorted(HEADERS), draw.randrange(4))}
    way = draw.randrange(4)
    if way == 0:
        prefix = draw.choice(sorted(PREFIXES))
        name = draw.choice(sorted(PREFIXES[prefix]))
        fields = PREFIXES[prefix][name][0].__struct_fields__
        given = {field: content(draw) for field in fields if draw.random() < 0.7}
        return "POST", "/", json.dumps(given).encode(), {"x-amz-target": f"{prefix}.{name}"}
    if way == 1:
        fields = {draw.choice(FIELDS): draw.choice(VALUES) for _ in range(draw.randrange(6))}
        text = urlencode({"Action": draw.choice(sorted(TOPICS)), "Version": "2010-03-31", **fields})
        return "POST", "/", text.encode(), {"content-type": "application/x-www-form-urlencoded"}
    path = "/" + "/".join(draw.choice(PARTS) for _ in range(draw.randrange(5)))
    if query := [draw.choice(QUERY) for _ in range(draw.randrange(3))]:
        path += "?" + "&".join(query).replace("²", "%C2%B2")
    method = draw.choice(("GET", "PUT", "POST", "DELETE", "HEAD", "PATCH"))
    body = draw.randbytes(draw.choice((0, 10, 1000)))
    if way == 3:
        body = b"\r\n".join(draw.choice((b"5", b"-1", b"zz", b"0", b"hello", b"", b"fffffffff;x=y")) for _ in range(6))
    return method, path, body, more


def ask(place: tuple[str, int], one: Asked) -> int:
    """The status of an answer; 0 where the connection was closed."""
    method, path, body, headers = one
    line = http.client.HTTPConnection(*place, timeout=30)
    try:
        line.putrequest(method, path, skip_accept_encoding=True)
        for name, value in {
            **({} if "transfer-encoding" in headers else {"content-length": str(len(body))}),
            **headers,
        }.items():
            line.putheader(name, value.encode())
        line.endheaders(body)
        answer = line.getresponse()
        answer.read()
        return answer.status
    except (http.client.HTTPException, OSError):  # closed, or silent for half a minute
        return 0
    finally:
        line.close()


def memory_mb(process: int) -> float:
    """Of a process, resident."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def main() -> None:
    """Send, count, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", help="names the file (default: the processor)")
    given = parser.parse_args()
    draw, counts, slow = random.Random(given.seed), Counter[str](), 0
    with tempfile.TemporaryDirectory() as folder:
        words = (sys.executable, "-m", "modelwright", "serve", "up", "--data", folder, "--port", "0")
        server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
        line = server.stdout.readline() if server.stdout else ""
        parts = urlsplit(re.findall(r"http://\S+", line)[0])
        place = parts.hostname or "", parts.port or 0
        ask(place, ("PUT", "/things", b"", {}))
        for _ in range(1000):  # what is loaded once is loaded
            ask(place, drawn(draw))
        before = memory_mb(server.pid)
        for number in range(given.requests):
            begun = time.monotonic()
            status = ask(place, drawn(draw))
            slow += time.monotonic() - begun > 5.0
            counts["501" if status == 501 else f"{status // 100}xx"] += 1
            if number % 500 == 0:
                with socket.create_connection(place) as half:
                    half.sendall(b"PUT /things/half HTTP/1.1\r\nhost: x\r\ncontent-length: 99999\r\n\r\nfew")
        after = memory_mb(server.pid)
        healthy = ask(place, ("GET", "/-/ping", b"", {})) == 200
        server.send_signal(signal.SIGINT)
        code = server.wait(60)
    row = {
        "requests": given.requests,
        "seed": given.seed,
        **{name: counts[name] for name in ("2xx", "3xx", "4xx", "501", "5xx", "0xx")},
        "slower_than_5_s": slow,
        "before_mb": f"{before:.1f}",
        "after_mb": f"{after:.1f}",
        "healthy": healthy and code == 0,
        "device": given.device or processor(),
        "commit": commit(),
    }
    name = re.sub(r"[^a-z0-9]+", "-", row["device"].lower()).strip("-")
    with (RESULTS / f"serve-fuzz-{name}.csv").open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, list(row), lineterminator="\n")
        writer.writeheader()
        writer.writerow(row)
    print(json.dumps(row, indent=1))


if __name__ == "__main__":
    main()
