"""The command, as a process of its own: it gives back what it holds when it ends, and loses nothing when killed."""

import http.client
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from modelwright.cli.main import main
from modelwright.clock import ManualClock
from modelwright.guard import Queue
from modelwright.records import ReviewItem, ReviewRules

Started = Callable[..., "Server"]


class Server:
    """The command, and its address as it prints it."""

    def __init__(self, *words: object) -> None:
        command = [sys.executable, "-m", "modelwright", "guard", "review", *map(str, words), "--web", "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        self.port = urlsplit(self.said.split()[1]).port
        self.home = f"127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, fields: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Status, where to go next, and body."""
        link = http.client.HTTPConnection(self.home, timeout=60)
        kind = {"Origin": f"http://{self.home}", "Content-Type": "application/x-www-form-urlencoded"}
        link.request(method, path, urlencode(fields or {}), kind)
        answer = link.getresponse()
        found = answer.status, answer.headers.get("location", ""), answer.read().decode()
        link.close()
        return found

    def page(self) -> tuple[str, dict[str, str]]:
        """The address of a page with the next item, and the fields of its form."""
        _, address, _ = self.ask("POST", "/next")
        form = self.ask("GET", address)[2].partition("<form")[2]
        return address, dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)[:3])

    def end(self, signalled: signal.Signals) -> tuple[int, str]:
        self.process.send_signal(signalled)
        told = self.process.communicate(timeout=60)[0]
        return self.process.returncode, told


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    made = Queue.create(tmp_path / "reviews.db", ReviewRules(classes=("ant", "bee")))
    made.add([ReviewItem("one"), ReviewItem("two", priority=-1.0)])
    return made


@pytest.fixture
def started() -> Iterator[Started]:
    servers: list[Server] = []

    def start(*words: object) -> Server:
        servers.append(Server(*words))
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()
        server.process.wait()
        if server.process.stdout:
            server.process.stdout.close()


def told(queue: Queue) -> dict[str, str | None]:
    return {verdict.key: verdict.label for verdict in queue.verdicts()}


@pytest.mark.parametrize(("signalled", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, -signal.SIGTERM)])
def test_who_ends_the_server_gives_back_what_its_pages_hold(
    started: Started, queue: Queue, signalled: signal.Signals, code: int
) -> None:
    server = started(queue.path, "--reviewer", "ann")
    address, form = server.page()
    server.page()
    assert server.ask("POST", address, {**form, "label": "bee"})[0] == 303
    assert queue.counts().held == 1
    ended, said = server.end(signalled)
    assert ended == code
    assert "Traceback" not in said
    assert (queue.counts().held, queue.counts().waiting) == (0, 1)
    assert told(queue) == {"one": "bee"}


@pytest.mark.parametrize("when", ["sent", "written", "answered"])
def test_a_verdict_whose_server_is_killed_is_recorded_once_or_the_item_waits_again(
    started: Started, queue: Queue, when: str
) -> None:
    server = started(queue.path, "--reviewer", "ann")
    address, form = server.page()
    body = urlencode({**form, "label": "bee"}).encode()
    entries = queue.state().last
    with socket.create_connection(("127.0.0.1", server.port or 0)) as link:
        head = f"POST {address} HTTP/1.1\r\nHost: {server.home}\r\nOrigin: http://{server.home}\r\n"
        link.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        while when == "written" and queue.state().last == entries:
            pass
        if when == "answered":
            assert link.recv(12) == b"HTTP/1.1 303"
        server.process.kill()
    server.process.communicate()
    again = Queue.open(queue.path, ManualClock(datetime(2200, 1, 1, tzinfo=UTC)))  # all leases have run out
    assert told(again) in ({}, {"one": "bee"})
    assert when == "sent" or told(again) == {"one": "bee"}
    assert again.counts().waiting == 2 - len(told(again))


def test_a_page_outlives_its_server_and_its_verdict_counts_once(started: Started, queue: Queue) -> None:
    server = started(queue.path, "--reviewer", "ann")
    address, form = server.page()
    server.process.kill()
    server.process.communicate()
    later = started(queue.path, "--reviewer", "ann")
    assert later.ask("POST", address, {**form, "label": "bee"})[0] == 303
    assert told(queue) == {"one": "bee"}
    assert later.ask("POST", address, {**form, "label": "ant"})[0] == 409
    assert told(queue) == {"one": "bee"}


def test_a_server_that_others_reach_prints_a_token_once_and_asks_for_it(started: Started, queue: Queue) -> None:
    server = started(queue.path, "--reviewer", "ann", "--host", "0.0.0.0")
    token = urlsplit(server.said.split()[1]).fragment
    assert len(token) >= 32
    assert server.ask("GET", "/")[0] == 401
    assert server.ask("POST", "/next")[0] == 401
    assert server.ask("POST", "/enter", {"token": "wrong"})[0] == 403
    assert server.ask("POST", "/enter", {"token": token})[0] == 303
    assert token not in server.end(signal.SIGINT)[1]
    assert queue.counts().held == 0


def test_a_port_that_is_taken_is_one_clear_error(queue: Queue, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["guard", "review", str(queue.path), "--web", "--port", str(taken.getsockname()[1])]) == 2
    told = capsys.readouterr()
    assert "the server must be able to listen" in told.err
    assert (told.out, told.err.count("\n")) == ("", 1)
