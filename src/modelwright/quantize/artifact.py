"""The artifact: what a target runs, with how it was made and a manifest, in one folder."""

import shutil
from importlib import metadata
from pathlib import Path

import msgspec

from modelwright.clock import Clock
from modelwright.errors import RecordError, SettingError
from modelwright.quantize.candidates import FILE
from modelwright.quantize.subject import Subject
from modelwright.quantize.targets.target import Program, Target
from modelwright.records import DataCard, File, Quantization, QuantizationFindings, from_json, to_json, write_whole
from modelwright.store import check_files, file_of, read, whole_folder

MANIFEST = "quantized.json"
PACKAGES = ("modelwright", "onnx", "onnxruntime", "openvino", "torch", "torchao")


class QuantizedManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a folder holds.

    Attributes:
        model: the network's name.
        target: the runtime that it was made for.
        recipe: by which.
        files: with their digests.
        batch: samples a call that its latency was measured with.
        latency_s, accuracy, drop, integer_share: as measured.
        max_drop: that was allowed.
        made_at: when, ISO 8601 in UTC.
        versions: package -> version.
        data: what it reads; None where nobody described it.
    """

    model: str
    target: str
    recipe: Quantization
    files: tuple[File, ...]
    batch: int
    latency_s: float
    accuracy: float | None
    drop: float | None
    integer_share: float
    max_drop: float
    made_at: str
    versions: dict[str, str]
    data: DataCard | None = None


def hand_over(findings: QuantizationFindings, subject: Subject, candidate: Path, folder: Path, clock: Clock) -> None:
    """Copy the chosen candidate's files into a folder of their own, with a manifest; it appears whole or not at all.

    Raises:
        SettingError: something else is at the folder's place.
        OSError: the place cannot be written; it is as it was.
    """
    chosen = next(one for one in findings.candidates if one.chosen)
    files = [file for file in sorted(candidate.iterdir()) if file.name != FILE]
    names = {MANIFEST, *(file.name for file in files)}
    held = {file.name for file in folder.iterdir()} if (folder / MANIFEST).is_file() else set()
    with whole_folder(folder, names | held) as part:
        for file in files:
            shutil.copyfile(file, part / file.name)
        manifest = QuantizedManifest(
            findings.model,
            findings.target,
            chosen.recipe,
            tuple(file_of(part / file.name) for file in files),
            findings.batch,
            chosen.latency_s or 0.0,
            chosen.accuracy,
            chosen.drop,
            chosen.integer_share or 0.0,
            findings.max_drop,
            clock.now().isoformat(timespec="seconds"),
            {name: version for name in PACKAGES if (version := _version(name))},
            subject.card,
        )
        write_whole(part / MANIFEST, to_json(manifest))


def load_artifact(folder: Path, name: str, target: Target, *, threads: int = 1, batch: int | None = None) -> Program:
    """The program of an artifact, after every file was held against the manifest.

    Args:
        folder: that was handed over.
        name: of the target that is to run it.
        target: it.
        threads: of the CPU.
        batch: samples a call, None for any number.

    Raises:
        RecordError: a file is missing or changed; names it.
        SettingError: the artifact was made for another target, or the target cannot run here.
    """
    manifest = from_json(read(folder / MANIFEST), QuantizedManifest, where=str(folder / MANIFEST))
    if manifest.target != name:
        rule = f"the artifact must have been made for {name}"
        way_out = f"Load it with {manifest.target}, or quantize for {name}."
        raise SettingError(rule, where=str(folder), value=manifest.target, way_out=way_out)
    if not manifest.files:
        raise RecordError("an artifact must hold files", where=str(folder / MANIFEST), way_out="Quantize again.")
    check_files(folder, manifest.files)
    return target.load(folder, floats=manifest.recipe.floats, threads=threads, batch=batch)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
