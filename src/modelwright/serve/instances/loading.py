"""Which handler serves a folder, and the packages that its code asks for."""

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from modelwright.errors import SettingError
from modelwright.records import write_whole
from modelwright.registry import load
from modelwright.serve.instances.calls import Handler, Load
from modelwright.serve.instances.scripts import load_script


def load_handler(folder: Path, address: str, environment: Mapping[str, str]) -> Handler:
    """The model of a folder, loaded.

    Args:
        folder: of an unpacked model.tar.gz, or an artifact.
        address: "module:attribute" of a `Load`, or "" for a script or a Hugging Face model.
        environment: the variables that the handler may read.

    Raises:
        RecordError: the address leads nowhere, or the folder holds no model.
        Exception: whatever the model's own code raises.
    """
    chosen: Load = load(address) if address else load_script
    return chosen(folder, environment)


def requirements_of(folder: Path) -> Path | None:
    """The list of packages that a model's code asks for, if it has one."""
    return next((path for path in (folder / "code" / "requirements.txt",) if path.is_file()), None)


def install(requirements: Path, packages: Path) -> None:
    """Install what a model asks for into a folder of its own, and let it be found; once for each list.

    Raises:
        SettingError: pip could not install it.
        OSError: the folder cannot be written.
    """
    mark = packages / f".{hashlib.sha256(requirements.read_bytes()).hexdigest()}"
    if not mark.exists():
        packages.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(packages)]
        done = subprocess.run([*pip, "--requirement", str(requirements)], capture_output=True, text=True, check=False)
        if done.returncode:
            rule = f"the model's requirements must be installable ({done.stderr.strip()[-500:]})"
            raise SettingError(rule, where=str(requirements))
        write_whole(mark, "")
    sys.path.insert(0, str(packages))
