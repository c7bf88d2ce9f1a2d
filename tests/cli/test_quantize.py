"""The command `quantize`: what it leaves and shows, how it goes on, and what it refuses before anything is begun."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch

from modelwright.cli.main import main
from modelwright.networks.build import build
from modelwright.networks.measuring import Protocol
from modelwright.quantize.artifact import load_artifact
from modelwright.quantize.targets.onnxruntime import OnnxRuntime
from modelwright.records import Architecture, QuantizationFindings, from_json, to_json
from modelwright.training import dataset, save_weights

Disk = Callable[[Path, str], AbstractContextManager[Path]]
Run = Callable[..., tuple[int, str, str]]
LITTLE = Protocol(repetitions=3, warmup=1, minimum_s=1e-3, settle=0)
WORDS = "--target onnxruntime --calibrations minmax --calibrate-on 32 --judge-on 40 --max-drop 100% --no-training"


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Little is measured."""
    before = torch.get_num_threads()
    monkeypatch.setattr("modelwright.quantize.stand.PROTOCOL", LITTLE)
    monkeypatch.setattr("modelwright.quantize.timing.Protocol", lambda: LITTLE)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["quantize", *map(str, words)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def member(searched: Path) -> Path:
    """The folder of a network that a search handed over."""
    [found] = [file.parent for file in searched.glob("*/model.onnx")]
    return found


@pytest.fixture(scope="module")
def quantized(member: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a network, quantized. Tests change copies of it only."""
    folder = tmp_path_factory.mktemp("quantized") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modelwright.quantize.stand.PROTOCOL", LITTLE)
        patch.setattr("modelwright.quantize.timing.Protocol", lambda: LITTLE)
        assert main(["quantize", str(member), *WORDS.split(), "--output", str(folder)]) == 0
    return folder


def findings(folder: Path) -> QuantizationFindings:
    return from_json((folder / "findings.json").read_bytes(), QuantizationFindings)


def test_it_leaves_an_artifact_findings_and_a_page(quantized: Path, member: Path) -> None:
    assert sorted(file.name for file in quantized.iterdir()) == [
        "artifact",
        "candidates",
        "findings.json",
        "report.html",
    ]
    found = findings(quantized)
    assert (found.model, found.target, found.data) == (member.name, "onnxruntime", "digits")
    assert (found.calibrated, found.judged) == (32, 40)
    [chosen] = [one for one in found.candidates if one.chosen]
    program = load_artifact(quantized / "artifact", "onnxruntime", OnnxRuntime())
    images, _ = next(dataset("digits", seed=0).validation.batches([torch.arange(20)]))
    assert program(images).shape == (20, 10)
    page = (quantized / "report.html").read_text(encoding="utf-8")
    assert found.verdict.partition(":")[0] in page
    assert chosen.name in page


def test_show_tells_what_came_of_it(run: Run, quantized: Path) -> None:
    found = findings(quantized)
    code, out, _ = run("show", quantized)
    assert code == 0
    assert found.verdict in out
    assert all(one.name in out for one in found.candidates)
    assert run("show", "--output", quantized)[1] == out
    code, out, _ = run("show", quantized, "--json")
    assert code == 0
    assert from_json(out, QuantizationFindings) == found
    assert run("show", "--json", quantized) == (0, out, "")
    assert run("--json", "show", quantized)[1] == out


def test_it_goes_on_with_resume_and_makes_nothing_twice(
    run: Run, quantized: Path, member: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(quantized, tmp_path / "out")
    shutil.rmtree(folder / "candidates" / "int8-minmax")
    (folder / "findings.json").unlink()
    kept = (folder / "candidates" / "fp32" / "candidate.json").stat().st_mtime_ns
    code, _, err = run(member, *WORDS.split(), "--output", folder)
    assert code == 2
    assert "Add --resume, or name another." in err
    code, out, err = run(member, *WORDS.split(), "--output", folder, "--resume", "--json")
    assert code == 0
    assert json.loads(out)["model"] == member.name
    assert f"All of it: {folder}" in err
    assert (folder / "candidates" / "fp32" / "candidate.json").stat().st_mtime_ns == kept
    assert {"fp32", "int8-minmax"} <= {one.name for one in findings(folder).candidates}


def test_an_architecture_comes_with_its_weights_and_data(run: Run, member: Path, tmp_path: Path) -> None:
    made = from_json((member / "architecture.json").read_bytes(), Architecture)
    network = build(made)
    (tmp_path / "mine.json").write_bytes(to_json(made))
    save_weights(network, tmp_path / "mine.safetensors")
    words = ["--weights", tmp_path / "mine.safetensors", "--data", "digits", "--budget", "1ms"]
    code, out, _ = run(tmp_path / "mine.json", *words, *WORDS.split(), "--output", tmp_path / "out")
    assert code == 0
    assert "fp32" in out
    assert [one.name for one in findings(tmp_path / "out").candidates] == ["fp32"]
    code, _, err = run(tmp_path / "mine.json", "--data", "digits", *WORDS.split(), "--output", tmp_path / "other")
    assert code == 2
    assert "--weights: an architecture needs the data that it was trained on, and its weights" in err
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes((tmp_path / "mine.safetensors").read_bytes()[:-9])
    for weights in (torn, tmp_path / "nowhere.safetensors"):
        words[1] = weights
        code, _, err = run(tmp_path / "mine.json", *words, *WORDS.split(), "--output", tmp_path / "other")
        assert code == 2
        assert f"{weights}: the file must be whole and in safetensors' format" in err
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--target", "onnxruntim"], "Did you mean 'onnxruntime'"),
        (["--calibrations", "minmaxx"], "Did you mean 'minmax'"),
        (["--max-drop", "-1%"], "--max-drop"),
        (["--max-drop", "many"], "--max-drop: an amount must be a number"),
        (["--max-drop", "101%"], "max_drop"),
        (["--budget", "10"], "--budget: an amount must be a number above zero with a unit"),
        (["--batch", "0"], "batch"),
        (["--threads", "0"], "--threads: there must be 1 at least"),
        (["--judge-on", "-3"], "--judge-on: there must be 1 at least"),
        (["--calibrate-on", "1"], "--calibrate-on: there must be 2 at least"),
        (["--weights", "some.safetensors"], "a network that was handed over has its weights"),
        (["--seed", "3"], "Give the seed of the search that handed it over."),
        (["--data", "didgits"], "Did you mean 'digits'"),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out_and_leaves_nothing(
    run: Run, member: Path, tmp_path: Path, words: list[str], told: str
) -> None:
    code, out, err = run(member, *WORDS.split(), *words, "--output", tmp_path / "out")
    assert code == 2
    assert told in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_second_folder_is_refused(run: Run, member: Path, tmp_path: Path) -> None:
    code, _, err = run(member, "elsewhere", "--output", tmp_path / "out")
    assert code == 2
    assert "only show takes a folder, but got 'elsewhere'. Name it with --output." in err


@pytest.mark.parametrize("words", [["nothing-like-it"], ["show"], ["show", "nowhere"]])
def test_what_is_not_there_is_refused(run: Run, tmp_path: Path, words: list[str]) -> None:
    more = ["--weights", "w.safetensors", "--data", "digits"] if words[0] != "show" else []
    code, _, err = run(*words, *more, "--output", tmp_path / "out")
    assert code == 2
    assert err.startswith("modelwright: error: ")
    assert not (tmp_path / "out").exists()


def test_a_damaged_network_is_refused(run: Run, member: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(member, tmp_path / "member")
    weights = next(broken.glob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    code, _, err = run(broken, *WORDS.split(), "--output", tmp_path / "out")
    assert code == 2
    assert f"{weights}: the file must be the one that was handed over" in err


def test_a_findings_file_that_is_none_is_named(run: Run, quantized: Path, tmp_path: Path) -> None:
    (tmp_path / "findings.json").write_text('{"model": 3}', encoding="utf-8")
    code, _, err = run("show", tmp_path)
    assert code == 2
    assert "findings.json" in err


def test_on_a_full_disk_it_says_so_and_goes_on_when_there_is_room(
    run: Run, member: Path, tmp_path: Path, small_disk: Disk
) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        filler = disk / "filler"
        filler.write_bytes(bytes(4 * 1024 * 1024 - 48 * 1024))
        words = [member, *WORDS.split(), "--output", disk / "out", "--budget", "5m"]
        code, _, err = run(*words)
        assert code == 1
        assert "make room, then the same command with --resume" in err
        assert "Traceback" not in err
        assert not list(disk.rglob("*.part"))
        filler.unlink()
        code, _, _ = run(*words[:-1], "1ms", "--resume")
        assert code == 0
        assert (disk / "out" / "artifact" / "model.onnx").is_file()
