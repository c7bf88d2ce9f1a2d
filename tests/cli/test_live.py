"""A search as it is watched: a line a step in a file, bars that fit a narrow terminal."""

import re

import pytest
from rich.console import Console

from modelwright.cli.live import STAGES, live
from modelwright.records import Progress

STEPS = [
    Progress("calibrate", 0, 12, "12 networks of the space are measured"),
    Progress("search", 1, 40, "trial 0: 1 epochs"),
    Progress("search", 1, 40, "trial 0: 3 epochs"),
    Progress("search", 40, 40, "", (0.9237, 8.37e-5)),
    Progress("train", 0, 8, "efficientnet-x-w0.83d0.69r32"),
]


def test_elsewhere_there_is_a_line_where_something_got_further(capsys: pytest.CaptureFixture[str]) -> None:
    with live("latency_s") as report:
        for step in STEPS:
            report(step)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "calibrating the model: 0 of 12; 12 networks of the space are measured",
        "searching: 1 of 40; trial 0: 1 epochs",
        "searching: 40 of 40; best 92.4% at 83.7 µs",
        "training the family: 0 of 8; efficientnet-x-w0.83d0.69r32",
    ]


def test_on_a_narrow_terminal_no_number_is_cut_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = lambda **_: Console(stderr=True, force_terminal=True, width=80, color_system=None)  # noqa: E731
    monkeypatch.setattr("modelwright.cli.live.Console", terminal)
    with live("latency_s") as report:
        for step in STEPS:
            report(step)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err).replace("\r", "\n").split("\n")
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
    last = [line for line in lines if line.strip()][-3:]
    for line, stage in zip(last, ("calibrate", "search", "train"), strict=True):
        assert line.startswith(STAGES[stage])
    assert "40/40" in last[1]
    assert last[1].rstrip().endswith("92.4% at 83.7 µs")
