"""The dispatcher: rows to modules, errors to one line and an exit code."""

import argparse
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import modelwright
from modelwright import errors
from modelwright.cli import COMMANDS
from modelwright.cli import main as cli_main
from modelwright.cli.main import main

Act = Callable[[argparse.Namespace], int]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Act], None]:
    """Puts a command `act --times N` in the table that does as it is told."""

    def put(act: Act) -> None:
        module = SimpleNamespace(
            add_arguments=lambda parser: parser.add_argument("--times", type=int, default=1, help="how often"), run=act
        )
        monkeypatch.setitem(COMMANDS, "act", ("what acting brings", "modelwright_test_act"))
        monkeypatch.setitem(sys.modules, "modelwright_test_act", module)

    return put


def raising(error: BaseException) -> Act:
    def act(_: argparse.Namespace) -> int:
        raise error

    return act


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
def test_help_lists_every_command_with_its_summary(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    shown = capsys.readouterr().out
    assert all(name in shown and summary in shown for name, (summary, _) in COMMANDS.items())


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"modelwright {modelwright.__version__}\n"


def test_a_command_gets_its_arguments_and_gives_its_code(command: Callable[[Act], None]) -> None:
    command(lambda arguments: arguments.times)
    assert main(["act", "--times", "7"]) == 7


def test_a_command_has_its_own_help(command: Callable[[Act], None], capsys: pytest.CaptureFixture[str]) -> None:
    command(raising(RuntimeError("help runs nothing")))
    assert main(["act", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "usage: modelwright act" in shown
    assert "What acting brings." in shown


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UnknownNameError("part", "x", ["y"]), 2),
        (errors.SettingError("a rule"), 2),
        (errors.RecordError("a rule"), 2),
        (errors.PlatformFileError("a rule"), 2),
        (errors.ShapeError("a rule"), 2),
        (errors.CapacityError("a rule"), 3),
        (errors.TraceError("a rule"), 4),
        (errors.MeasurementError("a rule"), 1),
        (errors.ModelwrightError("a rule"), 1),
        (FileNotFoundError(2, "No such file or directory", "net.json"), 1),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 1),
    ],
)
def test_an_error_is_one_line_and_its_exit_code(
    error: Exception, code: int, command: Callable[[Act], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(raising(error))
    assert main(["act"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("modelwright: error: ")
    assert err.count("\n") == 1


def test_a_missing_extra_is_named(command: Callable[[Act], None], capsys: pytest.CaptureFixture[str]) -> None:
    command(raising(ModuleNotFoundError("No module named 'torch'", name="torch")))
    main(["act"])
    assert "pip install 'modelwright[networks]'" in capsys.readouterr().err


def test_of_the_extras_that_bring_it_the_commands_own_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lacking(name: str, *_: str) -> int:
        raise ModuleNotFoundError("No module named 'scipy'", name="scipy")

    monkeypatch.setattr(cli_main, "_command", lacking)
    for command, extra in (("guard", "guard"), ("quantize", "quantize"), ("explain", "search")):
        main([command])
        assert f"pip install 'modelwright[{extra}]'" in capsys.readouterr().err


def test_extras_bring_what_is_said_of_them() -> None:
    """threadpoolctl comes with scikit-learn."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    brought = {
        extra: {re.match(r"[\w-]+", one)[0] for one in wants}
        for extra, wants in project["project"]["optional-dependencies"].items()
    }
    called = {"PIL": "pillow", "sklearn": "scikit-learn", "threadpoolctl": "scikit-learn"}
    for module, extras in cli_main.EXTRAS.items():
        for extra in extras:
            assert called.get(module, module) in brought[extra], (module, extra)


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ModuleNotFoundError("No module named 'x'", name="x")])
def test_a_bug_is_not_dressed_up(error: Exception, command: Callable[[Act], None]) -> None:
    command(raising(error))
    with pytest.raises(type(error)):
        main(["act"])


def test_an_unknown_command_is_met_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["costs"]) == 2
    assert "Did you mean 'cost'?" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--colour"], ["act", "--time", "3"], ["act", "--times", "often"], ["act", "more"]])
def test_a_wrong_word_is_refused_and_help_is_pointed_to(
    argv: list[str], command: Callable[[Act], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(raising(RuntimeError("runs nothing")))
    assert main(argv) == 2
    assert capsys.readouterr().err.rstrip().endswith("--help.")


def test_an_interruption_is_short(command: Callable[[Act], None], capsys: pytest.CaptureFixture[str]) -> None:
    command(raising(KeyboardInterrupt()))
    assert main(["act"]) == 130
    assert capsys.readouterr().err == "modelwright: interrupted\n"


@pytest.mark.parametrize("argv", [[], ["--help"], ["--version"]])
def test_a_reader_that_leaves_is_met_with_silence(argv: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    call = [sys.executable, "-m", "modelwright", *argv]
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    run = subprocess.run(call, stdout=writer, stderr=subprocess.PIPE, env=buffered, check=False)
    os.close(writer)
    assert (run.returncode, run.stderr) == (141, b"")
