"""The peers: how each is started, asked, and what its processes are."""

import contextlib
import importlib.metadata
import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

MARK = "MODELWRIGHT_PEER"
"""Stands in the environment of all processes of a peer; Redis overwrites its own."""

Ask = Callable[[int, float], object]

WORK = """
import os, time
def work(log, number, seconds):
    def note(word):
        with open(log, "a") as file:
            file.write(f"{word} {number} {os.getpid()} {time.time()}\\n")
    note("begin")
    time.sleep(seconds)
    note("end")
    return number
"""
"""A line is written in one piece, so that no two are mixed."""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Contestant:
    """A peer.

    Attributes:
        parts: what is started, in order, and may be killed; "worker" is one process that works.
        waiting: callers that it needs, where each waits for its answer.
        log: where the work writes down what it does.

    Args:
        folder: for its files.
        workers: processes that work.
        peers: virtual environments, one of which may hold it.
    """

    parts: tuple[str, ...] = ("worker", "server")
    waiting = 0
    needs = ""

    def __init__(self, folder: Path, workers: int, peers: list[Path]) -> None:
        self.folder, self.workers, self.log = folder, workers, folder / "log"
        self.port = free_port()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.python = next((str(one / "bin/python") for one in peers if self._holds(one)), sys.executable)
        (folder / "work.py").write_text(WORK)

    def missing(self) -> str | None:
        """Why it cannot run; None where it can."""
        return None if not self.needs or self.python != sys.executable else f"no --peers folder holds {self.needs}"

    def versions(self) -> str:
        """Of what it is made of."""
        raise NotImplementedError

    def start(self, part: str) -> None:
        """Start a part, and wait until it can be asked."""
        raise NotImplementedError

    def client(self) -> Ask:
        """What asks for the work on a number, for a thread of its own."""
        raise NotImplementedError

    def clear(self) -> None:
        """Forget what an earlier run left."""

    def all(self) -> list[int]:
        """All its processes: what was started here, and whatever has the mark in its environment."""
        found = {process.pid for process in self.running.values() if process.poll() is None}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and f"{MARK}={os.getpid()}\0".encode() in (entry / "environ").read_bytes():
                    found.add(int(entry.name))
        return sorted(found)

    def processes(self, part: str) -> list[int]:
        """All processes of a part."""
        others = {other.pid for name, other in self.running.items() if name != part}
        return [one for one in self.all() if one not in others]

    def stopped(self) -> None:
        """Note that all of it was killed."""
        for process in self.running.values():
            process.wait()
        self.running.clear()

    def spawn(self, part: str, *words: str | Path, **environment: str) -> None:
        """Start a process of the peer."""
        if (before := self.running.get(part)) is not None:
            before.wait()
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        kept |= {MARK: str(os.getpid()), "PYTHONPATH": str(self.folder), **environment}
        self.running[part] = subprocess.Popen(
            [str(word) for word in words], cwd=self.folder, env=kept, start_new_session=True,
            stdout=(self.folder / f"{part}.out").open("ab"), stderr=subprocess.STDOUT,
        )  # fmt: skip

    def _holds(self, folder: Path) -> bool:
        return bool(self.needs) and any((folder / "lib").glob(f"python3*/site-packages/{self.needs}"))

    def _said(self, program: str) -> str:
        done = subprocess.run([self.python, "-c", program], capture_output=True, text=True, check=True)
        return done.stdout.strip()


class Modelwright(Contestant):
    """Ours, asked by AWS's client."""

    program = """
        import asyncio, secrets, sys
        from pathlib import Path
        import uvicorn
        from modelwright.clock import SystemClock
        from modelwright.serve.aws import Access, AwsApp
        from modelwright.serve.service import Site, open_service

        async def main(folder, port):
            site = Site(folder / "data", environment={"PYTHONPATH": str(folder), "MODELWRIGHT_PEER": sys.argv[3]})
            async with open_service(site, SystemClock(), lambda: secrets.token_hex(8)) as service:
                config = uvicorn.Config(AwsApp(service, Access()), port=port, log_level="warning", lifespan="off")
                await uvicorn.Server(config).serve()

        asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
    """
    model = """
        import json
        from work import work
        def model_fn(folder):
            return None
        def transform_fn(model, body, content_type, accept):
            return json.dumps(work(**json.loads(body)))
    """

    def versions(self) -> str:
        """Of what it is made of."""
        return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("modelwright", "uvicorn", "boto3"))

    def clear(self) -> None:
        """Forget what an earlier run left."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def start(self, part: str) -> None:
        """Start the server, and make the endpoint where there is none."""
        if part != "server":
            return
        (self.folder / "model/code").mkdir(parents=True, exist_ok=True)
        (self.folder / "model/code/inference.py").write_text(textwrap.dedent(self.model))
        (self.folder / "up.py").write_text(textwrap.dedent(self.program))
        self.spawn(part, sys.executable, self.folder / "up.py", self.folder, str(self.port), str(os.getpid()))
        manage = self._boto("sagemaker")
        until(lambda: manage.list_endpoints() is not None)
        if not manage.list_endpoints()["Endpoints"]:
            role = "arn:aws:iam::000000000000:role/anyone"
            container = {"Image": "modelwright", "ModelDataUrl": str(self.folder / "model")}
            manage.create_model(ModelName="work", PrimaryContainer=container, ExecutionRoleArn=role)
            variant = {"VariantName": "main", "ModelName": "work", "InstanceType": "ml.m5.large"}
            out = {"OutputConfig": {"S3OutputPath": "s3://modelwright-us-east-1-000000000000/out"}}
            manage.create_endpoint_config(
                EndpointConfigName="work", AsyncInferenceConfig=out,
                ProductionVariants=[variant | {"InitialInstanceCount": self.workers}],
            )  # fmt: skip
            manage.create_endpoint(EndpointName="work", EndpointConfigName="work")
        until(lambda: manage.describe_endpoint(EndpointName="work")["EndpointStatus"] == "InService")

    def client(self) -> Ask:
        """Accepted when it is on the disk."""
        runtime = self._boto("sagemaker-runtime")

        def ask(number: int, seconds: float) -> object:
            body = json.dumps({"log": str(self.log), "number": number, "seconds": seconds})
            return runtime.invoke_endpoint_async(EndpointName="work", Body=body, ContentType="application/json")

        return ask

    def _boto(self, service: str):  # noqa: ANN202  # a client has no class of its own
        import boto3
        from botocore.config import Config

        return boto3.client(
            service, region_name="us-east-1", endpoint_url=f"http://127.0.0.1:{self.port}", aws_access_key_id="x",
            aws_secret_access_key="x", config=Config(retries={"total_max_attempts": 1}),
        )  # fmt: skip


class Celery(Contestant):
    """Celery over Redis, set as it must be to lose nothing with a worker."""

    parts = ("broker", "worker", "server")
    needs = "celery"
    redis: tuple[str, ...] = ("--save", "3600 1 300 100 60 10000")
    program = """
        import os
        from celery import Celery
        from work import work
        address = f"redis://127.0.0.1:{os.environ['PORT']}/0"
        app = Celery("tasks", broker=address, backend=address)
        app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1, task_reject_on_worker_lost=True)
        work = app.task(work, name="work")
    """
    asking = """
        import json, sys
        from tasks import work
        for line in sys.stdin:
            try:
                work.apply_async(json.loads(line), retry=False)
                print("taken", flush=True)
            except Exception as failure:
                print("refused", failure, flush=True)
    """

    def missing(self) -> str | None:
        """Why it cannot run; None where it can."""
        return super().missing() or (None if shutil.which("redis-server") else "there is no redis-server")

    def versions(self) -> str:
        """Of what it is made of."""
        of_redis = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True).stdout
        number = of_redis.partition("v=")[2].split()[0]
        return f"celery {self._said('import celery; print(celery.__version__)')}, redis-server {number}"

    def clear(self) -> None:
        """Forget what an earlier run left."""
        shutil.rmtree(self.folder / "redis", ignore_errors=True)

    def start(self, part: str) -> None:
        """Start Redis, or a worker with its processes."""
        (self.folder / "tasks.py").write_text(textwrap.dedent(self.program))
        (self.folder / "ask.py").write_text(textwrap.dedent(self.asking))
        if part == "broker":
            (self.folder / "redis").mkdir(exist_ok=True)
            self.spawn(part, "redis-server", "--port", str(self.port), "--dir", self.folder / "redis", *self.redis)
            until(lambda: socket.create_connection(("127.0.0.1", self.port)).close() is None)
        elif part == "server":
            words = ("-A", "tasks", "worker", "--concurrency", str(self.workers), "--loglevel", "INFO")
            out = self.folder / "server.out"
            before = out.read_text().count(" ready.") if out.exists() else 0
            self.spawn(part, self.python, "-m", "celery", *words, PORT=str(self.port))
            until(lambda: out.exists() and out.read_text().count(" ready.") > before)

    def processes(self, part: str) -> list[int]:
        """All processes of a part; Redis is one."""
        return [self.running[part].pid] if part == "broker" else super().processes(part)

    def client(self) -> Ask:
        """Accepted when Redis has it. The client runs in the peer's own Python."""
        kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(self.folder), "PORT": str(self.port)}
        asking = subprocess.Popen(
            [self.python, self.folder / "ask.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=kept,
            stderr=subprocess.DEVNULL, text=True, bufsize=1,
        )  # fmt: skip

        def ask(number: int, seconds: float) -> object:
            print(json.dumps([str(self.log), number, seconds]), file=asking.stdin, flush=True)
            said = asking.stdout.readline() if asking.stdout else ""
            if not said.startswith("taken"):
                raise RuntimeError(said)
            return said

        return ask


class CeleryOnDisk(Celery):
    """The same, whose Redis flushes each change."""

    redis = ("--appendonly", "yes", "--appendfsync", "always")


class Ray(Contestant):
    """Ray Serve, which has no queue of its own: callers wait."""

    needs = "ray"
    waiting = 32
    program = """
        import os, sys, time
        import ray
        from ray import serve
        from work import work

        little = {"num_cpus": 0.1}
        count = int(os.environ["WORKERS"])

        @serve.deployment(num_replicas=count, max_ongoing_requests=1, ray_actor_options=little)
        class Work:
            async def __call__(self, request):
                import asyncio
                return await asyncio.to_thread(work, **(await request.json()))

        ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
        serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
        serve.run(Work.bind())
        while True:
            time.sleep(3600)
    """

    def versions(self) -> str:
        """Of what it is made of."""
        return f"ray {self._said('import ray; print(ray.__version__)')}"

    def start(self, part: str) -> None:
        """Start a cluster of this machine alone with its deployment."""
        if part != "server":
            return
        (self.folder / "up.py").write_text(textwrap.dedent(self.program))
        more = {
            "PORT": str(self.port),
            "WORKERS": str(self.workers),
            "RAY_DEDUP_LOGS": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self.spawn(part, self.python, self.folder / "up.py", **more)
        until(lambda: self.client()(-1, 0.0) is not None)

    def client(self) -> Ask:
        """Accepted when it is answered."""

        def ask(number: int, seconds: float) -> object:
            log = str(self.log) if number >= 0 else "/dev/null"
            body = json.dumps({"log": log, "number": number, "seconds": seconds}).encode()
            request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", body)
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.read()

        return ask


def until(true: Callable[[], object], patience_s: float = 120.0) -> None:
    """Wait until something holds and raises nothing."""
    last = time.monotonic() + patience_s
    while True:
        try:
            if true():
                return
        except Exception:
            if time.monotonic() > last:
                raise
        if time.monotonic() > last:
            raise TimeoutError("a peer did not come up")
        time.sleep(0.05)


CONTESTANTS: dict[str, type[Contestant]] = {
    "modelwright": Modelwright,
    "celery": Celery,
    "celery on disk": CeleryOnDisk,
    "ray": Ray,
}
