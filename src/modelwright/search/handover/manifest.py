"""A network's folder by its manifest: every file with its digest, so that one which is missing or changed is found."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from modelwright.errors import RecordError
from modelwright.records import File, Manifest, from_json

FILES: Mapping[str, str] = {
    "architecture": "architecture.json",
    "weights": "weights.safetensors",
    "program": "program.pt2",
    "onnx": "model.onnx",
    "card": "README.md",
    "manifest": "manifest.json",
}
"""Role -> name of each file in a network's folder."""

_WAY_OUT = "Hand the network over again, or fetch the folder again from where it came."


def verify(folder: Path) -> Manifest:
    """The manifest of a network's folder, after every file was held against it.

    This finds damage, and files that do not belong together. Against someone who writes a new manifest as well, compare
    `Manifest.digest` with one that came another way.

    Raises:
        RecordError: the manifest or another file is missing, or is not the one that was handed over; names the file.
    """
    where = folder / FILES["manifest"]
    manifest = from_json(_read(where), Manifest, where=str(where))
    for role in FILES.keys() - manifest.files.keys() - {"manifest"}:
        rule = f"the manifest must list the file of each role, and {role!r} too"
        raise RecordError(rule, where=str(where), value=sorted(manifest.files), way_out=_WAY_OUT)
    for told in manifest.files.values():
        found = file_of(folder / told.path)
        if found != told:
            rule = f"the file must be the one that was handed over: {told.bytes} bytes, SHA-256 {told.sha256}"
            value = f"{found.bytes} bytes, {found.sha256}"
            raise RecordError(rule, where=str(folder / told.path), value=value, way_out=_WAY_OUT)
    return manifest


def file_of(path: Path) -> File:
    """A file as a manifest has it.

    Raises:
        RecordError: it cannot be read.
    """
    content = _read(path)
    return File(path.name, digest(content), len(content))


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal digits (FIPS 180-4)."""
    return hashlib.sha256(content).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as failure:
        rule = f"a network's folder must hold {path.name} ({failure.strerror})"
        raise RecordError(rule, where=str(path), way_out=_WAY_OUT) from failure
