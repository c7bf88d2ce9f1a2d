"""A network's folder by its manifest: every file with its digest, so that one which is missing or changed is found."""

from collections.abc import Mapping
from pathlib import Path

from modelwright.errors import RecordError
from modelwright.records import Manifest, from_json
from modelwright.store import check_files, read

FILES: Mapping[str, str] = {
    "architecture": "architecture.json",
    "weights": "weights.safetensors",
    "program": "program.pt2",
    "onnx": "model.onnx",
    "card": "README.md",
    "manifest": "manifest.json",
}
"""Role -> name of each file in a network's folder."""
RECIPE = ("recipe", "recipe.json")
"""Role and name of one more, where the search chose the numbers that the network is to compute in."""

_WAY_OUT = "Hand the network over again, or fetch the folder again from where it came."


def verify(folder: Path) -> Manifest:
    """The manifest of a network's folder, after every file was held against it.

    This finds damage, and files that do not belong together. Against someone who writes a new manifest as well, compare
    `Manifest.digest` with one that came another way.

    Raises:
        RecordError: the manifest or another file is missing, or is not the one that was handed over; names the file.
    """
    where = folder / FILES["manifest"]
    manifest = from_json(read(where), Manifest, where=str(where))
    for role in FILES.keys() - manifest.files.keys() - {"manifest"}:
        rule = f"the manifest must list the file of each role, and {role!r} too"
        raise RecordError(rule, where=str(where), value=sorted(manifest.files), way_out=_WAY_OUT)
    check_files(folder, manifest.files.values())
    return manifest
