"""`guard review`: what the terminal shows before and after a verdict, and what the page is given to show."""

import builtins
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

import modelwright.web
from modelwright.cli.main import main
from modelwright.guard import Queue
from modelwright.records import ReviewItem, ReviewRules

HOME = "http://127.0.0.1:8765"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def runs(*words: object) -> tuple[int, str, str]:
        code = main(["guard", "review", *map(str, words)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return runs


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.chdir(tmp_path)
    made = Queue.create(Path("reviews.db"), ReviewRules(classes=("ant", "bee")))
    made.add([ReviewItem("new.npz:1", "ant", reason="uncertain", probability=0.5)])
    made.add([ReviewItem("new.npz:0", "bee", reason="audit", probability=0.9, propensity=0.02, priority=-1.0)])
    return made


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[TestClient], Any]], None]:
    """Has a visitor look at the page in place of a server."""

    def visits(act: Callable[[TestClient], Any]) -> None:
        def serve(app: Starlette, host: str, port: int, token: str, started: Callable[[str], None]) -> None:
            started(HOME)
            act(TestClient(app, base_url=HOME, headers={"origin": HOME}))

        monkeypatch.setattr(modelwright.web, "serve", serve)

    return visits


def test_the_terminal_tells_the_reason_after_the_verdict_and_what_the_model_said_when_asked(
    run: Run, queue: Queue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed: Iterator[str] = iter(["m", "1", "2"])
    shown: list[str] = []

    def answer(prompt: str = "") -> str:
        shown.append(capsys.readouterr().out)
        return next(typed)

    monkeypatch.setattr(builtins, "input", answer)
    code, last, _ = run(queue.path, "--reviewer", "ann")
    assert code == 0
    assert not re.search("predicted|probability|uncertain|audit", shown[0])
    assert "predicted bee; probability 0.9" in shown[1]  # audits come first: one has not had its turn
    assert "new.npz:0 was here: audit" in shown[2]
    assert "uncertain" not in shown[2]
    assert "new.npz:1 was here: uncertain" in last


def test_the_page_shows_rows_of_a_file_by_their_place(run: Run, queue: Queue, visit: Callable[..., None]) -> None:
    pictures = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4)
    np.savez("new.npz", inputs=pictures)
    np.savez("named.npz", inputs=pictures.astype(float), keys=["new.npz:1", "another"])
    told: list[str] = []
    visit(lambda web: told.append(web.post("/next").text))
    for data in ("new.npz", "named.npz"):
        code, out, _ = run(queue.path, "--web", "--reviewer", "ann", "--inputs", data)
        assert code == 0
        assert f"Open {HOME}" in out
        assert queue.counts().held == 0, "who leaves gives back"
    assert 'src="/picture?key=new.npz%3A0"' in told[0]
    assert "<span>14</span> <span>15</span>" in told[1]


def test_the_page_shows_pictures_of_a_folder_by_their_names(run: Run, tmp_path: Path, visit: Any) -> None:
    (tmp_path / "photos" / "a").mkdir(parents=True)
    (tmp_path / "photos" / "a" / "one.jpg").write_bytes(b"a picture")
    Queue.create(tmp_path / "reviews.db").add([ReviewItem("a/one.jpg")])
    seen: list[bytes] = []
    visit(lambda web: seen.append(web.post("/next") and web.get("/picture", params={"key": "a/one.jpg"}).content))
    assert run(tmp_path / "reviews.db", "--web", "--reviewer", "ann", "--inputs", tmp_path / "photos")[0] == 0
    assert seen == [b"a picture"]


def test_what_cannot_be_is_refused_before_anything_is_served(run: Run, queue: Queue) -> None:
    np.savez("features.npz", features=np.zeros((2, 3)))
    np.savez("other.npz", inputs=np.zeros((2, 3)))
    np.savez("short.npz", inputs=np.zeros((2, 3)), keys=["new.npz:0"])
    lessons = {
        ("--port", "1"): "Add --web",
        ("--inputs", "other.npz"): "Add --web",
        ("--host", "::1", "--reviewer", "ann"): "Add --web",
        ("--web", "--json"): "neither exports nor prints JSON",
        ("--web", "--export", "labels.jsonl"): "neither exports nor prints JSON",
        ("--web", "--inputs", "nowhere"): "it must be a folder, or a file that ends in .npz",
        ("--web", "--inputs", "nowhere.npz"): "the file of arrays must exist",
        ("--web", "--inputs", "features.npz"): "must hold inputs",
        ("--web", "--inputs", "other.npz"): "Name it as check --data did.",
        ("--web", "--inputs", "short.npz"): "a key for each of the 2 rows",
        ("--web", "--port", "70000"): "must be able to listen",
        ("--web", "--host", "nobody.invalid"): "must be able to listen",
    }
    for words, lesson in lessons.items():
        code, out, err = run(queue.path, *words)
        assert (code, out) == (2, ""), words
        assert lesson in err
        assert err.count("\n") == 1
    assert queue.counts().held == 0
