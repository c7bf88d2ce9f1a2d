"""The commands around a service: one process that is up when it says so, drains at Ctrl-C, and tells how it stands."""

import gzip
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelwright.cli.serve_top import graph
from modelwright.cli.serve_up import _SECRET, _environment

MODELWRIGHT = (sys.executable, "-m", "modelwright")
MODEL = """
import os, pathlib, time
def model_fn(folder):
    return None
def transform_fn(model, body, content_type, accept):
    if body == b"hold":
        pathlib.Path({begun!r}).touch()
        while not pathlib.Path({go!r}).exists():
            time.sleep(0.01)
    return body + os.environ.get("TAIL", "").encode()
"""


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Starts servers; their address is what they print."""
    made: list[subprocess.Popen[str]] = []

    def starts(*words: str, **environment: str) -> tuple[subprocess.Popen[str], str]:
        given = (*MODELWRIGHT, "serve", "up", "--data", str(tmp_path / "data"), "--port", "0", *words)
        made.append(
            subprocess.Popen(
                given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
            )
        )
        line = made[-1].stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + made[-1].stderr.read()
        return made[-1], found[0]

    yield starts
    for one in made:
        one.kill()
        one.wait()


def ask(url: str, *words: str, given: bytes = b"", code: int = 0, **environment: str) -> str:
    """What an action prints."""
    done = subprocess.run(
        [*MODELWRIGHT, "serve", *words, "--url", url],
        input=given,
        capture_output=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == code, done.stderr.decode()
    return done.stdout.decode() if not code else done.stderr.decode()


def model(folder: Path) -> str:
    (folder / "model" / "code").mkdir(parents=True)
    source = MODEL.format(begun=str(folder / "begun"), go=str(folder / "go"))
    (folder / "model" / "code" / "inference.py").write_text(source)
    return str(folder / "model")


def test_from_up_to_drain_and_up_again(up: Any, tmp_path: Path) -> None:
    server, url = up()
    ask(url, "deploy", model(tmp_path), "--name", "echo", "--env", "TAIL=!", "--min", "1", "--max", "2")
    assert ask(url, "invoke", "echo", "-", "--wait", given=b"hello") == "hello!"
    [one] = json.loads(ask(url, "status", "--json"))["endpoints"]
    assert (one["status"], one["ended"]) == ("InService", {"completed": 1})
    assert "InService" in ask(url, "status")
    assert "backlog" in ask(url, "top", "--once")
    ask(url, "invoke", "echo", "-", "--id", "long", given=b"hold")
    while not (tmp_path / "begun").exists():
        assert server.poll() is None
    ask(url, "invoke", "echo", "-", "--id", "waits", given=b"later")
    server.send_signal(signal.SIGINT)
    (tmp_path / "go").touch()
    assert server.wait(60) == 0
    assert "drained" in server.stderr.read()
    _, url = up()
    assert ask(url, "invoke", "echo", "-", "--id", "long", "--wait", given=b"hold") == "hold!", "it is the earlier one"
    assert ask(url, "invoke", "echo", "-", "--id", "waits", "--wait", given=b"later") == "later!"
    ask(url, "drain")
    lines = [json.loads(line) for line in (tmp_path / "data" / "serve.log").read_text().splitlines()]
    assert {"completed", "in service", "draining"} <= {line["event"] for line in lines}
    assert "later" not in (tmp_path / "data" / "serve.log").read_text()


def test_a_second_interrupt_stops_at_once_and_nothing_is_lost(up: Any, tmp_path: Path) -> None:
    server, url = up()
    ask(url, "deploy", model(tmp_path), "--name", "echo")
    ask(url, "invoke", "echo", "-", "--id", "held", given=b"hold")
    while not (tmp_path / "begun").exists():
        assert server.poll() is None
    server.send_signal(signal.SIGINT)
    assert "draining" in server.stderr.readline()
    server.send_signal(signal.SIGINT)
    assert server.wait(30) == 130
    (tmp_path / "go").touch()
    _, url = up()
    assert ask(url, "invoke", "echo", "-", "--id", "held", "--wait", given=b"hold") == "hold"


def test_top_is_drawn_anew_in_a_terminal_and_outlives_the_service(up: Any, tmp_path: Path) -> None:
    server, url = up()
    ask(url, "deploy", model(tmp_path), "--name", "echo")
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    given = [*MODELWRIGHT, "serve", "top", "--url", url, "--every", "0.1"]
    terminal = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "30"}
    top = subprocess.Popen(given, stdin=theirs, stdout=theirs, stderr=theirs, env=terminal)
    os.close(theirs)
    try:
        shown = screen(ours, top, "InService")
        assert "ended a second" in shown
        assert ask(url, "invoke", "echo", "-", "--wait", given=b"hello") == "hello"
        screen(ours, top, "echo +InService +1 +0 +0 +1 +0")
        server.kill()
        screen(ours, top, "waiting for the service")
        top.send_signal(signal.SIGINT)
        assert top.wait(30) == 130
    finally:
        top.kill()
        top.wait()
        os.close(ours)


def screen(terminal: int, program: subprocess.Popen[bytes], wanted: str) -> str:
    """What is on the screen once that is, without its colours."""
    shown = ""
    while not re.search(wanted, shown):
        assert program.poll() is None, shown
        if select.select([terminal], [], [], 30.0)[0]:
            shown = (shown + os.read(terminal, 65536).decode(errors="replace"))[-20_000:]
            shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    return shown


def test_what_is_wrong_is_told(up: Any, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text('{"AKID": "secret"}')
    for words, why in (
        (("--host", "0.0.0.0"), "must have keys"),
        (("--keys", str(keys)), "chmod 600"),
        (("--keys", str(tmp_path / "none")), "must be readable"),
        (("--time-factor", "0"), "above zero"),
    ):
        given = [*MODELWRIGHT, "serve", "up", "--data", str(tmp_path / "other"), "--port", "0", *words]
        done = subprocess.run(given, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert why in done.stderr
    server, url = up()
    second = [*MODELWRIGHT, "serve", "up", "--data", str(tmp_path / "data"), "--port", "0"]
    done = subprocess.run(second, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "another" in done.stderr
    assert server.poll() is None
    assert "must be a known name" in ask(url, "invoke", "none", "-", code=2)
    assert "must be a folder or a model.tar.gz" in ask(url, "deploy", str(tmp_path / "none"), code=2)
    broken = tmp_path / "model.tar.gz"
    for content in (
        b"",
        b"PK\x03\x04 a zip archive",
        gzip.compress(b"no archive at all"),
        gzip.compress(bytes(99))[:30],
    ):
        broken.write_bytes(content)
        assert "must be a tar file packed by gzip" in ask(url, "deploy", str(broken), code=2)
    bounds = ask(url, "deploy", str(tmp_path), "--name", "x", "--min", "3", "--max", "1", code=2)
    assert "no more than --max" in bounds, "nothing is made before it is refused"
    assert "Start one with" in ask("http://127.0.0.1:1", "status", code=1)
    keys.chmod(0o600)
    _, url = up("--keys", str(keys), "--data", str(tmp_path / "keyed"))
    assert "refuses" in ask(url, "status", code=1, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert ask(url, "status", AWS_ACCESS_KEY_ID="AKID", AWS_SECRET_ACCESS_KEY="secret") is not None


def test_secrets_of_the_environment_are_not_handed_to_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setitem(os.environ, name, "x")
    assert {"RAY_AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY"}.isdisjoint(_environment(ray=False))
    assert {"RAY_AUTH_TOKEN", "RAY_AUTH_MODE"} <= _environment(ray=True).keys()
    assert "AWS_SECRET_ACCESS_KEY" not in _environment(ray=True)
    for name in ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "DB_PASSWORD", "API_KEY", "MODELWRIGHT_X"):
        assert _SECRET.search(name)
    for name in ("PATH", "HOME", "LANG", "OMP_NUM_THREADS", "HF_HOME", "CUDA_VISIBLE_DEVICES"):
        assert not _SECRET.search(name)


def test_a_graph_shows_the_newest_values_and_none_where_there_are_none() -> None:
    shown = graph("backlog", [0, 1, 2, 4, 8], 60, "cyan").plain
    assert len(shown) <= 60
    assert shown.endswith("█")
    assert "8" in shown
    assert graph("backlog", [], 60, "cyan").plain.strip()
    assert not set("▁▂▃▄▅▆▇█") & set(graph("backlog", [0, 0], 60, "cyan").plain)
