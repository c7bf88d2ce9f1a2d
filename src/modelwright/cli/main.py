"""The dispatcher: find the command, run it, and turn an error into one line and an exit code."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn, Protocol, cast

from modelwright import __version__
from modelwright.cli import COMMANDS
from modelwright.errors import (
    CapacityError,
    ModelwrightError,
    RecordError,
    SettingError,
    ShapeError,
    TraceError,
    UnknownNameError,
)

EXIT_CODES: tuple[tuple[type[ModelwrightError], int], ...] = (
    (UnknownNameError, 2),
    (SettingError, 2),
    (RecordError, 2),
    (ShapeError, 2),
    (CapacityError, 3),
    (TraceError, 4),
    (ModelwrightError, 1),
)
"""The first row that fits decides. 130 and 141 follow the shell: 128 and the signal's number."""

INTERRUPTED = 130
READER_GONE = 141

EXTRAS: dict[str, tuple[str, ...]] = {
    "jinja2": ("web",),
    "openvino": ("openvino",),
    "ray": ("ray",),
    "torch": ("networks", "search", "quantize", "guard"),
    "torchao": ("quantize",),
    **dict.fromkeys(("awscrt", "h11", "obstore", "pg8000", "sqlalchemy"), ("serve",)),
    **dict.fromkeys(("starlette", "uvicorn"), ("web", "serve")),
    **dict.fromkeys(("onnx", "onnxruntime", "onnxscript", "PIL", "pyarrow"), ("search", "quantize")),
    **dict.fromkeys(("safetensors", "scipy", "sklearn", "threadpoolctl"), ("search", "quantize", "guard")),
}
"""Which extras of this distribution bring a module from outside; the command's own is told, if it does."""

BY_ITSELF = ("datasets", "optuna", "pymoo")
"""What no extra brings: other libraries that are only asked for by name."""


class Command(Protocol):
    """What the module of a command offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it, and return the exit code."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose refusals are Modelwright's own errors."""

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """The arguments, options before, between or after the others; an action's own options come after the action."""
        return self.parse_args(words) if self._subparsers else self.parse_intermixed_args(words)

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise SettingError(message, where=self.prog, way_out=f"See {self.prog} --help.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    Args:
        argv: the words after `modelwright`; by default those that this process was started with.
    """
    words = sys.argv[1:] if argv is None else argv
    try:
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except ModelwrightError as error:
        return _refuse(str(error), next(code for kind, code in EXIT_CODES if isinstance(error, kind)))
    except ModuleNotFoundError as error:
        if error.name in BY_ITSELF:
            return _refuse(f"{error.name} is needed here. Install it with pip install {error.name}.")
        if error.name not in EXTRAS:
            raise
        extras = EXTRAS[error.name]
        extra = next((word for word in words[:1] if word in extras), extras[0])
        return _refuse(f"{error.name} is needed here. Install it with pip install 'modelwright[{extra}]'.")
    except BrokenPipeError:  # the reader of a pipe has left: go silently, and let Python's last flush reach nobody
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except OSError as error:
        return _refuse(f"{error.filename}: {error.strerror}." if error.filename else f"{error}.")
    except KeyboardInterrupt:
        print("modelwright: interrupted", file=sys.stderr)
        return INTERRUPTED


def _dispatch(words: Sequence[str]) -> int:
    try:
        return _command(*words) if words and not words[0].startswith("-") else _greet(words)
    except SystemExit as leaving:  # argparse leaves so after --help and --version
        return leaving.code if isinstance(leaving.code, int) else 0


def _command(name: str, *words: str) -> int:
    if name not in COMMANDS:
        raise UnknownNameError("command", name, COMMANDS, way_out="See modelwright --help.")
    summary, module = COMMANDS[name]
    command = cast(Command, importlib.import_module(module))
    parser = Parser(
        prog=f"modelwright {name}",
        description=f"{summary[0].upper()}{summary[1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    return command.run(parser.read(words))


def _greet(words: Sequence[str]) -> int:
    width = max(map(len, COMMANDS))
    rows = [f"  {name:{width}}  {summary}" for name, (summary, _) in COMMANDS.items()]
    parser = Parser(
        prog="modelwright",
        usage="modelwright [--help] [--version] COMMAND ...",
        description="What a neural network costs on an accelerator, and why.",
        epilog="\n".join(["commands:", *rows, "", "modelwright COMMAND --help says what a command takes."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"modelwright {__version__}")
    parser.parse_args(words)
    parser.print_help()
    return 0


def _refuse(message: str, code: int = 1) -> int:
    print(f"modelwright: error: {message}", file=sys.stderr)
    return code
