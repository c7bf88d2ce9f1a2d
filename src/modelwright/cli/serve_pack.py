"""The action `serve pack`: a model.tar.gz that any server of the container contract runs."""

import argparse
import json
from pathlib import Path

import msgspec

from modelwright.cli.cells import show_note
from modelwright.errors import SettingError
from modelwright.serve.packing import SCRIPTS, pack

_EPILOG = """examples:
  modelwright serve pack model/                                  with its own code/inference.py
  modelwright serve pack pegasus/ --script generative            a folder of save_pretrained
  modelwright serve pack --script extractive -o lexrank.tar.gz   needs no network and no weights

The same files give the same bytes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare model, script and archive."""
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("model", nargs="?", type=Path, metavar="FOLDER", help="the model's files; none for --script extractive")
    add("--script", choices=sorted(SCRIPTS), help="a summarizer's code/inference.py for a folder that has none")
    add("--requirement", action="append", default=[], metavar="LINE", help="of code/requirements.txt; repeat for more")
    add("-o", "--output", type=Path, default=Path("model.tar.gz"), metavar="FILE", help="(default: %(default)s)")
    add("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Pack, and tell the archive's digest."""
    if arguments.requirement and not arguments.script:
        way_out = "Write them into FOLDER/code/requirements.txt."
        raise SettingError("requirements must go with --script", where="--requirement", way_out=way_out)
    requirements = "".join(f"{line}\n" for line in arguments.requirement)
    made = pack(arguments.model, arguments.output, script=arguments.script or "", requirements=requirements)
    if arguments.json:
        print(json.dumps(msgspec.to_builtins(made)))
    else:
        show_note(f"wrote {arguments.output}: {made.bytes} bytes, SHA-256 {made.sha256}")
    return 0
