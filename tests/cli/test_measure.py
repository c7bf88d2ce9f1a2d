"""The command measure: a table, JSON or CSV that say the same; what cannot be done is refused before minutes pass."""

import csv
import json
import sys
import types
from pathlib import Path

import pytest
from torch import nn

from modelwright.cli.main import main
from modelwright.cli.measure import commit

NET = "net_for_tests:build"
QUICK = ("--input", "1x8", "--repetitions", "2", "--threads", "1")


@pytest.fixture(autouse=True)
def net(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module at an address."""
    holder = types.SimpleNamespace(build=lambda: nn.Sequential(nn.Linear(8, 4), nn.ReLU()))
    monkeypatch.setitem(sys.modules, "net_for_tests", holder)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_table_says_how_long_and_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", NET, *QUICK, "--batch", "1", "4", "--precision", "fp32", "bf16"]) == 0
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines() if line.startswith(NET)]
    assert [(line[1], line[3]) for line in lines] == [("fp32", "1"), ("bf16", "1"), ("fp32", "4"), ("bf16", "4")]
    assert "1 thread;" in shown
    assert "torch" in shown


def test_json_holds_every_repetition_and_what_the_model_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", NET, *QUICK, "--json", "--platform", "x86", "--no-cache"]) == 0
    [found] = json.loads(capsys.readouterr().out)
    assert len(found["seconds"]) == 2
    assert found["device"]["commit"] == commit()
    assert found["platform"] == "x86"
    assert found["measured_over_estimate"] == pytest.approx(found["median_s"] / found["estimate_s"])
    assert found["throughput_per_s"] == pytest.approx(1 / found["median_s"])


def test_the_estimate_stands_beside_the_measurement(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", NET, *QUICK, "--platform", "cpu", "--no-cache"]) == 0
    heading, line = capsys.readouterr().out.splitlines()[:2]
    assert heading.split()[-2:] == ["x86", "ratio"]
    assert line.endswith("x")


def test_a_file_is_added_to_and_never_measured_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.csv"
    assert main(["measure", NET, *QUICK, "--csv", str(path)]) == 0
    assert capsys.readouterr().err == f"wrote {path}\n"
    first = path.read_text()
    assert main(["measure", NET, *QUICK, "--csv", str(path)]) == 0
    out, err = capsys.readouterr()
    assert path.read_text() == first
    assert "1 of 1 were in" in out
    assert err == ""
    assert main(["measure", NET, *QUICK, "--csv", str(path), "--batch", "1", "2"]) == 0
    assert path.read_text().startswith(first)
    assert [(row["batch"], row["input"], row["threads"]) for row in rows(path)] == [("1", "8", "1"), ("2", "8", "1")]
    assert main(["measure", NET, *QUICK, "--csv", str(path), "--again"]) == 0
    assert [row["batch"] for row in rows(path)] == ["1", "2"]
    assert all(float(row["median_s"]) > 0 for row in rows(path))


@pytest.mark.parametrize(
    ("words", "code", "lesson"),
    [
        (["efficientnet-b00"], 2, "Did you mean 'efficientnet-b0'"),
        ([NET], 2, "Give --input"),
        (["efficientnet-b0", "--input", "1x3x8x8"], 2, "An architecture has its own"),
        ([NET, *QUICK, "--batch", "0"], 2, "'batch'"),
        ([NET, *QUICK, "--threads", "-1"], 2, "'threads'"),
        ([NET, *QUICK, "--repetitions", "0"], 2, "'repetitions'"),
        ([NET, *QUICK, "--precision", "fp31"], 2, "choose from"),
        ([NET, *QUICK, "--precision", "int8"], 2, "floating-point precision"),
        ([NET, *QUICK, "--execution", "graph"], 2, "Take compiled"),
        ([NET, *QUICK, "--device", "gpu"], 2, "cuda:N"),
        ([NET, *QUICK, "--platform", "x87"], 2, "Did you mean 'x86'"),
        ([NET, *QUICK, "--again"], 2, "--csv"),
        ([NET, *QUICK, "--csv", "no/such/folder/rows.csv"], 2, "Create it"),
        ([NET, "--input", "1x9", "--threads", "1"], 1, "the network must run"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    words: list[str], code: int, lesson: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", *words]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert lesson in err


def test_every_setting_is_checked_before_the_first_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    assert main(["measure", NET, *QUICK, "--csv", str(path), "--batch", "1", "2", "--execution", "eager", "graph"]) == 2
    assert not path.exists()


def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notes.csv"
    path.write_text("day,weather\n1,rain\n")
    assert main(["measure", NET, *QUICK, "--csv", str(path)]) == 2
    assert path.read_text() == "day,weather\n1,rain\n"
    assert "this one is left as it is" in capsys.readouterr().err
