"""The plan against the service: the same requests in virtual time and through real instances, and how long they wait.

    python benchmarks/quality/serve_replay.py [--seconds 120] [--time-factor 20] [--device NAME]

Traces are sent to a service whose model works as long as each request says; the autoscaler's time goes by faster, with
the same target, bounds and cooldowns in both. The replay is told what a user would measure beforehand: when requests
came, how long an instance was occupied by each, and how long instances took to be ready. Writes
benchmarks/results/serve-replay-reality-DEVICE.csv: a row a trace, with waiting times of both and their ratio.
"""

import argparse
import asyncio
import csv
import json
import os
import re
import secrets
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "speed"))

from startup import RESULTS, commit, processor

from modelwright.clock import SystemClock
from modelwright.records import (
    ConfigurationRecord,
    EndpointSettings,
    Invocation,
    ModelRecord,
    RequestRecord,
    ScalableTargetRecord,
    VariantRecord,
)
from modelwright.records.autoscaling import ScalableTarget, TargetTracking
from modelwright.records.capacity import Fleet, Latency
from modelwright.serve.replay import Traffic, bursts, poisson, replay
from modelwright.serve.scalables import put_policy, register_target, resource_of
from modelwright.serve.service import LOGGER, Service, Site, open_service
from modelwright.serve.state import create_configuration, create_endpoint, create_model, requests

MODEL = """
    import json, time
    def model_fn(folder):
        return None
    def transform_fn(model, body, content_type, accept):
        time.sleep(json.loads(body))
        return b"done"
"""
COOLDOWN_S = 120.0
TARGET = 5.0


def traces(seconds: float) -> dict[str, Traffic]:
    """Traces in plain seconds, with how long each request shall run."""
    random = np.random.default_rng(0)
    found = {
        "bursts": bursts(1.5, 60, seconds / 4, seconds, random),
        "steady": poisson(7.0, seconds, random),
    }
    runs = {"bursts": 0.3, "steady": 0.35}
    return {
        name: Traffic(one.name, one.arrivals, seconds, random.lognormal(np.log(runs[name]), 0.5, len(one.arrivals)))
        for name, one in found.items()
    }


async def real(service: Service, name: str, traffic: Traffic, most: int) -> list[RequestRecord]:
    """Send a trace to an endpoint of its own, and wait for all ends."""
    do, bucket = service.ledger.do, service.site.buckets[0]
    await do(create_configuration, ConfigurationRecord(name, (VariantRecord("main", "model", 0),),
             EndpointSettings(f"s3://{bucket}/out/")))  # fmt: skip
    await do(create_endpoint, name, name)
    resource = resource_of(name, "main")
    await do(register_target, ScalableTargetRecord(resource, name, "main", ScalableTarget(0, most)))
    policy = TargetTracking("track", TARGET, scale_out_cooldown_s=COOLDOWN_S, scale_in_cooldown_s=COOLDOWN_S)
    await do(put_policy, resource, policy, f"arn:{name}")
    service.poke(name)
    while (stand := service.endpoints.stands.get(name)) is None or stand.record.status != "InService":
        await asyncio.sleep(0.05)
    loop = asyncio.get_running_loop()
    begun, asking = loop.time(), []
    for number, (arrival, runs) in enumerate(zip(traffic.arrivals, traffic.durations, strict=True)):
        await asyncio.sleep(max(0.0, begun + arrival - loop.time()))
        invocation = Invocation(name, f"{number}", "", output_location=f"s3://{bucket}/out/{name}/{number}")
        asking.append(asyncio.create_task(service.accept(invocation, json.dumps(float(runs)).encode())))
    await asyncio.gather(*asking)
    while True:
        found = await service.ledger.read(requests, name, ["queued", "running"], limit=1)
        if not found.records:
            break
        await asyncio.sleep(0.2)
    page = await service.ledger.read(requests, name, ["completed"], limit=len(asking) + 1, newest_first=False)
    if len(page.records) != len(asking):
        raise SystemExit(f"{len(asking) - len(page.records)} requests of {name} were not completed")
    return list(page.records)


class Starts:
    """How long instances took to be ready, as the service tells."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def filter(self, record: Any) -> bool:
        """Hear a line of the log."""
        if record.getMessage() == "instance ready":
            self.seconds.append(record.fields["seconds"])
        return False


def planned(
    traffic: Traffic, records: list[RequestRecord], startup_s: float, most: int, factor: float
) -> tuple[np.ndarray, np.ndarray]:
    """Waiting times of the service, and those of the replay, in plain seconds."""
    came = np.array([one.accepted_at for one in records])
    began = np.array([one.started_at or 0.0 for one in records])
    ended = np.array([one.finished_at or 0.0 for one in records])
    order = np.argsort(came, kind="stable")
    came, began, ended = came[order], began[order], ended[order]
    seen = Traffic(
        traffic.name, (came - came[0]) * factor, float(came[-1] - came[0]) * factor, (ended - began) * factor
    )
    target = ScalableTarget(0, most, concurrency=1)
    policy = TargetTracking("track", TARGET, scale_out_cooldown_s=COOLDOWN_S, scale_in_cooldown_s=COOLDOWN_S)
    fleet = Fleet(startup=Latency("constant", startup_s * factor), tail_s=0.0)
    found = replay(seen, Latency("constant", 1.0), fleet, [policy], target)
    return began - came, found.waits / factor


async def run(given: argparse.Namespace) -> list[dict[str, Any]]:
    """All traces, one after another."""
    rows = []
    starts = Starts()
    LOGGER.setLevel("INFO")
    LOGGER.addFilter(starts)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "model" / "code").mkdir(parents=True)
        (folder / "model" / "code" / "inference.py").write_text(textwrap.dedent(MODEL))
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        site = Site(folder / "data", time_factor=given.time_factor, environment=environment)
        async with open_service(site, SystemClock(), lambda: secrets.token_hex(6)) as service:
            await service.ledger.do(create_model, ModelRecord("model", str(folder / "model")))
            for name, traffic in traces(given.seconds).items():
                starts.seconds.clear()
                records = await real(service, name, traffic, given.most)
                ready = float(np.mean(starts.seconds))
                ours, theirs = planned(traffic, records, ready, given.most, given.time_factor)
                row: dict[str, Any] = {"trace": name, "traffic": traffic.name, "requests": len(records)}
                row |= {"startup_s": f"{ready:.3f}", "most_instances": given.most, "time_factor": given.time_factor}
                for word, of in (("mean", np.mean), ("p50", np.median), ("p90", lambda x: np.quantile(x, 0.9)),
                                 ("p99", lambda x: np.quantile(x, 0.99))):  # fmt: skip
                    row |= {f"{word}_real_s": f"{of(ours):.3f}", f"{word}_plan_s": f"{of(theirs):.3f}"}
                row["ratio"] = f"{np.mean(theirs) / np.mean(ours):.3f}"
                print(json.dumps(row), file=sys.stderr, flush=True)
                rows.append(row)
    return rows


def main() -> None:
    """Run, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0, help="of each trace")
    parser.add_argument("--time-factor", type=float, default=20.0)
    parser.add_argument("--most", type=int, default=4, help="instances")
    parser.add_argument("--device", help="names the file (default: the processor)")
    given = parser.parse_args()
    device = given.device or processor()
    rows = [row | {"device": device, "commit": commit()} for row in asyncio.run(run(given))]
    name = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
    path = RESULTS / f"serve-replay-reality-{name}.csv"
    with path.open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"wrote {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
