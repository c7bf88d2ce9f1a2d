"""What a request costs the service: processor time of the server, and requests a second, without any front.

    python benchmarks/speed/serve_service.py [--device NAME] [--requests 10000] [--instances 5] [--callers 32]

writes benchmarks/results/serve-service-<device>.csv. Requests of some bytes are accepted with their inputs, dealt out
to instances that answer at once, and their answers kept and noted; each of these steps is on the disk. Server and
instances share whatever processors this may run on; the server's time is told apart from theirs.
"""

import argparse
import asyncio
import csv
import os
import platform
import resource
import secrets
import tempfile
import textwrap
import time
from pathlib import Path

from startup import RESULTS, commit, processor

import modelwright
from modelwright.clock import SystemClock
from modelwright.records import ConfigurationRecord, EndpointSettings, Invocation, ModelRecord, VariantRecord
from modelwright.serve.service import Service, Site, open_service
from modelwright.serve.state import ENDPOINTS, counts, create_configuration, create_endpoint, create_model, requests

MODEL = """
    def model_fn(folder):
        return None
    def transform_fn(model, body, content_type, accept):
        return body
"""


async def endpoint(service: Service, folder: Path, instances: int) -> None:
    """Make an endpoint, and wait until it is in service."""
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "inference.py").write_text(textwrap.dedent(MODEL))
    settings = EndpointSettings(f"s3://{service.site.buckets[0]}/out/")
    await service.ledger.do(create_model, ModelRecord("echo", str(folder)))
    made = ConfigurationRecord("echo", (VariantRecord("main", "echo", instances),), settings)
    await service.ledger.do(create_configuration, made)
    await service.ledger.do(create_endpoint, "echo", "echo")
    service.poke()
    while (await service.ledger.read(ENDPOINTS.get, "echo")).status != "InService":
        await asyncio.sleep(0.01)


async def measured(arguments: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Send all requests, wait until all have ended, and tell what that took."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    async with open_service(
        Site(folder / "data", environment=environment), SystemClock(), lambda: secrets.token_hex(6)
    ) as service:
        await endpoint(service, folder / "model", arguments.instances)
        bucket, left = service.site.buckets[0], iter(range(arguments.requests))

        async def caller() -> None:
            for number in left:
                out = f"s3://{bucket}/out/{number}"
                await service.accept(Invocation("echo", str(number), "", output_location=out), b'{"n": %d}' % number)

        began, spent = time.perf_counter(), time.process_time()
        await asyncio.gather(*(caller() for _ in range(arguments.callers)))
        accepted, accepting = time.perf_counter() - began, time.process_time() - spent
        while (await service.ledger.read(counts))["echo"].get("completed", 0) < arguments.requests:
            await asyncio.sleep(0.1)
        wall, server = time.perf_counter() - began, time.process_time() - spent
        ended = await service.ledger.read(requests, "echo")
        if any(one.attempts != 1 or one.duplicates for one in ended.records):
            raise SystemExit("a request was worked on more than once")
    theirs = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "requests per second": arguments.requests / wall,
        "accepted per second": arguments.requests / accepted,
        "server CPU ms per request": server / arguments.requests * 1e3,
        "of it to accept, ms": accepting / arguments.requests * 1e3,
        "instances' CPU ms per request": (theirs.ru_utime + theirs.ru_stime) / arguments.requests * 1e3,
        "server memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Measure, show, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--instances", type=int, default=5)
    parser.add_argument("--callers", type=int, default=32)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measured(arguments, Path(folder)))
    for name, value in found.items():
        print(f"{name:32} {value:10.2f}")
    if arguments.device:
        how = {
            "requests": arguments.requests,
            "instances": arguments.instances,
            "callers": arguments.callers,
            "cores": len(os.sched_getaffinity(0)),
            "processor": processor(),
            "python": platform.python_version(),
            "version": modelwright.__version__,
            "commit": commit(),
        }
        with (RESULTS / f"serve-service-{arguments.device}.csv").open("w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["measure", "value", *how])
            table.writerows([name, f"{value:.4g}", *how.values()] for name, value in found.items())


if __name__ == "__main__":
    main()
