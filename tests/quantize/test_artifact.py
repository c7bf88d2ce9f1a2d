"""The artifact: what was chosen, whole, with how it was made; nothing that is missing, changed or another's is run."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
import pytest
import torch

from modelwright.clock import ManualClock
from modelwright.errors import RecordError, SettingError
from modelwright.quantize.artifact import MANIFEST, QuantizedManifest, hand_over, load_artifact
from modelwright.quantize.candidates import FILE
from modelwright.quantize.subject import Subject
from modelwright.quantize.targets.onnxruntime import OnnxRuntime
from modelwright.quantize.targets.openvino import OpenVino
from modelwright.quantize.targets.qdq import to_onnx, write_onnx
from modelwright.records import Device, Quantization, QuantizationFindings, QuantizedCandidate, from_json

SmallDisk = Callable[[Path, str], AbstractContextManager[Path]]
RECIPE = Quantization(kind="float")
CHOSEN = QuantizedCandidate("fp32", RECIPE, latency_s=1e-3, accuracy=0.9, drop=0.0, integer_share=0.0, chosen=True)
FINDINGS = QuantizationFindings(
    "block", "onnxruntime", "digits", 64, 120, 4, (CHOSEN,), (), (), (), 0.01, "", Device("cpu", "", 1, {}), 1.0
)  # fmt: skip


@pytest.fixture(scope="module")
def candidate(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from modelwright.quantize.graph import capture

    folder = tmp_path_factory.mktemp("candidate")
    example = (subject.calibration.inputs[:2],)
    write_onnx(to_onnx(capture(subject.whole(subject.network), example), example), folder)
    (folder / FILE).write_text("{}", encoding="utf-8")
    return folder


@pytest.fixture
def artifact(candidate: Path, subject: Subject, tmp_path: Path) -> Path:
    hand_over(FINDINGS, subject, candidate, tmp_path / "artifact", ManualClock())
    return tmp_path / "artifact"


def test_an_artifact_runs_as_the_network_and_says_how_it_was_made(artifact: Path, subject: Subject) -> None:
    assert sorted(file.name for file in artifact.iterdir()) == ["model.onnx", MANIFEST]
    program = load_artifact(artifact, "onnxruntime", OnnxRuntime())
    images = subject.judged.inputs
    assert torch.allclose(program(images), subject.whole(subject.network)(images), atol=1e-4)
    told = from_json((artifact / MANIFEST).read_bytes(), QuantizedManifest)
    assert (told.model, told.target, told.recipe, told.batch, told.max_drop) == (
        "block",
        "onnxruntime",
        RECIPE,
        4,
        0.01,
    )
    assert (told.latency_s, told.accuracy, told.drop) == (1e-3, 0.9, 0.0)
    assert told.made_at == "2000-01-01T00:00:00+00:00"
    assert {"torch", "onnx", "modelwright"} <= told.versions.keys()
    assert told.data == subject.card


def test_another_target_is_refused(artifact: Path) -> None:
    with pytest.raises(SettingError, match=r"made for openvino, but got 'onnxruntime'\. Load it with onnxruntime"):
        load_artifact(artifact, "openvino", OpenVino())


def test_what_is_missing_or_changed_is_named(artifact: Path) -> None:
    file = artifact / "model.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(RecordError, match=r"model\.onnx: the file must be the one that was handed over"):
        load_artifact(artifact, "onnxruntime", OnnxRuntime())
    file.unlink()
    with pytest.raises(RecordError, match=r"must hold model\.onnx"):
        load_artifact(artifact, "onnxruntime", OnnxRuntime())
    manifest = artifact / MANIFEST
    told = msgspec.json.decode(manifest.read_bytes())
    manifest.write_bytes(msgspec.json.encode({**told, "files": []}))
    with pytest.raises(RecordError, match="an artifact must hold files"):
        load_artifact(artifact, "onnxruntime", OnnxRuntime())
    manifest.write_bytes(msgspec.json.encode({**told, "batch": "many"}))
    with pytest.raises(RecordError, match="batch"):
        load_artifact(artifact, "onnxruntime", OnnxRuntime())
    manifest.unlink()
    with pytest.raises(RecordError, match=rf"must hold {MANIFEST}"):
        load_artifact(artifact, "onnxruntime", OnnxRuntime())


def test_a_file_outside_of_the_folder_is_none_of_the_artifacts(artifact: Path) -> None:
    manifest = artifact / MANIFEST
    told = msgspec.json.decode(manifest.read_bytes())
    (artifact.parent / "secret").write_bytes(b"")
    told["files"][0]["path"] = "../secret"
    manifest.write_bytes(msgspec.json.encode(told))
    with pytest.raises(RecordError):
        load_artifact(artifact, "onnxruntime", OnnxRuntime())


def test_an_artifact_takes_an_earlier_ones_place_and_no_other_folders(
    artifact: Path, candidate: Path, subject: Subject, tmp_path: Path
) -> None:
    hand_over(FINDINGS, subject, candidate, artifact, ManualClock())
    load_artifact(artifact, "onnxruntime", OnnxRuntime())
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("years of work", encoding="utf-8")
    with pytest.raises(SettingError, match=r"thesis\.tex"):
        hand_over(FINDINGS, subject, candidate, other, ManualClock())
    assert [file.name for file in other.iterdir()] == ["thesis.tex"]


def test_on_a_full_disk_the_earlier_artifact_stays(
    candidate: Path, subject: Subject, tmp_path: Path, small_disk: SmallDisk
) -> None:
    with small_disk(tmp_path / "disk", "80k") as disk:
        hand_over(FINDINGS, subject, candidate, disk / "artifact", ManualClock())
        room = os.statvfs(disk)
        (disk / "filler").write_bytes(bytes((room.f_bavail - 2) * room.f_frsize))
        with pytest.raises(OSError, match="No space"):
            hand_over(FINDINGS, subject, candidate, disk / "artifact", ManualClock())
        load_artifact(disk / "artifact", "onnxruntime", OnnxRuntime())
        assert sorted(file.name for file in disk.iterdir()) == ["artifact", "filler"]
