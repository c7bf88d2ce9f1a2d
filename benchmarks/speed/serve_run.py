"""A service under a burst from AWS's own clients: from no instance to several and back, and what each request cost.

    python benchmarks/speed/serve_run.py [--requests 10000] [--clients 2] [--threads 8] [--work 0.01] [--time-factor 60]

starts `modelwright serve up`, deploys a model that works for so many seconds a request, lets the endpoint fall asleep,
and sends the requests with boto3 from several processes. In the end every request must have been completed exactly
once: by its state, its attempts, and the bytes of its answer, which are fetched and compared. Then it must fall
asleep again. Writes benchmarks/results/serve-run-DEVICE.csv and serve-run-timeline-DEVICE.csv, and draws
docs/images/serve-run.png.
"""

import argparse
import csv
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from startup import RESULTS, commit, processor

from modelwright.serve.client import Client, Deployment, Scaled, deploy

IMAGE = Path(__file__).parents[2] / "docs" / "images" / "serve-run.png"
MODEL = """
    import time
    def model_fn(folder):
        return None
    def transform_fn(model, body, content_type, accept):
        time.sleep({work})
        return body[::-1]
"""
NAME = "burst"
COLUMNS = ("second", "queued", "running", "ready", "starting", "draining", "wanted", "ended")
TICK = os.sysconf("SC_CLK_TCK")


def body_of(name: str) -> bytes:
    """The input of a request."""
    return json.dumps({"request": name, "text": "to be read backwards " * 8}).encode()


def send(url: str, client: int, count: int, threads: int) -> None:
    """Send requests with boto3 from several threads; called in a process of its own."""
    import boto3
    from botocore.config import Config

    def some(thread: int) -> None:
        settings = Config(retries={"mode": "standard", "total_max_attempts": 5})
        keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
        runtime = boto3.client("sagemaker-runtime", region_name="us-east-1", endpoint_url=url, config=settings, **keys)
        for number in range(thread, count, threads):
            name = f"{client}-{number}"
            runtime.invoke_endpoint_async(
                EndpointName=NAME, Body=body_of(name), ContentType="application/json", InferenceId=name
            )

    workers = [threading.Thread(target=some, args=(thread,)) for thread in range(threads)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()


def spent(process: int) -> tuple[float, float]:
    """Processor seconds of a process, and of its children that have ended."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    own, children = (sum(int(one) for one in fields[at : at + 2]) / TICK for at in (11, 13))
    return own, children


def started(folder: Path, given: argparse.Namespace) -> tuple[subprocess.Popen[str], str]:
    """A server, and its address."""
    words = (sys.executable, "-m", "modelwright", "serve", "up", "--data", str(folder / "data"), "--port", "0")
    process = subprocess.Popen(
        [*words, "--time-factor", str(given.time_factor)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    line = process.stdout.readline() if process.stdout else ""
    found = re.search(r"http://\S+", line)
    if found is None:
        raise SystemExit(f"the server did not start: {line}")
    return process, found[0]


def endpoint(client: Client) -> Any:
    """The endpoint's snapshot."""
    return next(one for one in client.status().endpoints if one.name == NAME)


def until(true: Any, patience_s: float = 600.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + patience_s
    while not true():
        if time.monotonic() > end:
            raise SystemExit("it took too long")
        time.sleep(0.1)


def asleep(client: Client) -> bool:
    """Whether it has no instances, shall have none, and the last point of its history says so, too."""
    now, points = endpoint(client), client.told(f"/-/api/history/{NAME}")
    none = not now.instances and not any(one.wanted for one in now.variants)
    return now.status == "InService" and none and bool(points) and not any(points[-1][3:7])


def checked(client: Client, wanted: set[str]) -> dict[str, int]:
    """Every request, held against what was sent: how many were lost, twice there, tried again or answered wrongly."""
    seen: dict[str, int] = {}
    found = {"completed": 0, "other_ends": 0, "tried_again": 0, "marked_twice": 0, "wrong_answers": 0}
    after = ""
    while True:
        page = client.told(f"/-/api/requests?endpoint={NAME}{f'&after={after}' if after else ''}")
        for one in page["requests"]:
            name = one["invocation"]["inference_id"]
            seen[name] = seen.get(name, 0) + 1
            done = one["state"] == "completed"
            found["completed" if done else "other_ends"] += 1
            found["tried_again"] += one["attempts"] > 1
            found["marked_twice"] += one["duplicates"] > 0
            if done and client.get(one["invocation"]["output_location"]) != body_of(name)[::-1]:
                found["wrong_answers"] += 1
        after = page["after"] or ""
        if not after:
            break
    return {**found, "lost": len(wanted - seen.keys()), "twice": sum(count > 1 for count in seen.values())}


def main() -> None:
    """Run it, check it, write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=2, help="processes")
    parser.add_argument("--threads", type=int, default=8, help="of each")
    parser.add_argument("--work", type=float, default=0.01, help="seconds that a request takes a model")
    parser.add_argument("--most", type=int, default=5, help="instances")
    parser.add_argument("--time-factor", type=float, default=60.0)
    parser.add_argument("--device", help="names the files (default: the processor)")
    parser.add_argument("--send", nargs=3, metavar=("URL", "CLIENT", "COUNT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.send:
        send(given.send[0], int(given.send[1]), int(given.send[2]), given.threads)
        return
    device = given.device or processor()
    with tempfile.TemporaryDirectory() as place:
        server, url = started(Path(place), given)
        try:
            row, points = measured(Path(place), server, url, given)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(60)
    row |= {"time_factor": given.time_factor, "device": device, "commit": commit()}
    name = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
    write(RESULTS / f"serve-run-{name}.csv", list(row), [row])
    rows = [dict(zip(COLUMNS, point, strict=True)) for point in points]
    write(RESULTS / f"serve-run-timeline-{name}.csv", list(COLUMNS), rows)
    draw(rows)
    print(json.dumps(row, indent=1))


def measured(
    folder: Path, server: subprocess.Popen[str], url: str, given: argparse.Namespace
) -> tuple[dict[str, Any], list[list[float]]]:
    """The run itself: a row of figures, and what was seen each second."""
    client = Client(url, lambda: datetime.now(UTC))
    model = folder / "model" / "code"
    model.mkdir(parents=True)
    (model / "inference.py").write_text(textwrap.dedent(MODEL.format(work=given.work)))
    deploy(client, Deployment(model.parent, NAME, scaled=Scaled(0, given.most, 5.0, 120)), lambda _: None)
    until(lambda: asleep(client))
    before = spent(server.pid)
    each = given.requests // given.clients
    words = [sys.executable, __file__, "--threads", str(given.threads), "--send", url]
    begun = time.monotonic()
    sending = [subprocess.Popen([*words, str(one), str(each)]) for one in range(given.clients)]
    if any(one.wait() for one in sending):
        raise SystemExit("a client failed")
    sent = time.monotonic() - begun
    until(lambda: endpoint(client).ended.get("completed", 0) >= each * given.clients)
    took = time.monotonic() - begun
    after = spent(server.pid)
    until(lambda: asleep(client))
    over = spent(server.pid)
    points = client.told(f"/-/api/history/{NAME}")
    wanted = {f"{one}-{number}" for one in range(given.clients) for number in range(each)}
    count = len(wanted)
    busy = [point for point in points if point[1] + point[2] or point[7]]
    start = busy[0][0] if busy else points[0][0]
    shown = [[round(point[0] - start, 1), *point[1:]] for point in points if point[0] >= start - 5]
    return {
        "requests": count,
        "clients": f"{given.clients} x {given.threads}",
        "work_s": given.work,
        "most_instances": max(int(point[3]) for point in points),
        "accepted_per_s": f"{count / sent:.1f}",
        "completed_per_s": f"{count / took:.1f}",
        "seconds": f"{took:.1f}",
        "server_ms": f"{(after[0] - before[0]) / count * 1e3:.2f}",
        "instances_ms": f"{(over[1] - before[1]) / count * 1e3:.2f}",
        **checked(client, wanted),
    }, shown


def write(path: Path, columns: list[str], rows: list[dict[str, Any]]) -> None:
    """A table."""
    with path.open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"wrote {path}", file=sys.stderr)


def draw(rows: list[dict[str, Any]]) -> None:
    """Backlog, instances and throughput over time."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    at = [row["second"] for row in rows]
    figure, (above, middle, below) = pyplot.subplots(3, 1, figsize=(8, 6), sharex=True, layout="constrained")
    above.fill_between(at, [row["queued"] + row["running"] for row in rows], step="post", color="#0072b2", alpha=0.4)
    above.set_ylabel("backlog, requests")
    middle.fill_between(at, [row["ready"] for row in rows], step="post", color="#009e73", alpha=0.4, label="ready")
    middle.step(at, [row["wanted"] for row in rows], where="post", color="#1b2127", ls="--", lw=1, label="wanted")
    middle.step(at, [row["draining"] for row in rows], where="post", color="#98a1aa", lw=1, label="draining")
    middle.set_ylabel("instances")
    middle.legend(loc="lower center", ncols=3, frameon=False)
    below.step(at, [row["ended"] for row in rows], where="post", color="#0072b2", lw=1.2)
    below.set_ylabel("ended a second")
    below.set_xlabel("seconds")
    for axes in (above, middle, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color="#d8dde2", lw=0.5)
    figure.savefig(IMAGE, dpi=110)
    print(f"wrote {IMAGE}", file=sys.stderr)


if __name__ == "__main__":
    main()
