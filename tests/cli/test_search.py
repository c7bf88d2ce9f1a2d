"""The command `search`: what it hands over, shows and compares, and what it refuses, before anything is begun."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch

from modelwright.cli.main import main
from modelwright.records import Findings, from_json, to_json
from modelwright.records.study import Trial
from modelwright.report.quantity import percent
from modelwright.search.handover import verify
from modelwright.search.site import Site
from modelwright.search.study import Start, Study
from modelwright.training import dataset

Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["search", *map(str, words)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def findings(searched: Path) -> Findings:
    """Of the search that has ended."""
    return from_json((searched / "findings.json").read_bytes(), Findings)


@pytest.fixture
def begun(searched: Path, tmp_path: Path) -> Path:
    """A folder with the same search before it has begun a trial."""
    folder = tmp_path / "begun"
    folder.mkdir()
    Study.create(Site(folder).study, Study.open(Site(searched).study).plan)
    return folder


def test_what_is_handed_over_runs_elsewhere_and_is_as_accurate_as_it_says(searched: Path, findings: Findings) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    (member,) = findings.family
    folder = searched / member.name
    assert verify(folder).name == member.name
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "model.onnx", options)
    test = dataset("digits").test
    images, labels = test.batch(torch.arange(len(test)))
    (logits,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    assert (logits.argmax(1) == labels.numpy()).mean() == pytest.approx(member.learning.test_accuracy, abs=1e-9)


def test_the_folder_tells_of_the_search_and_the_page_of_every_network(searched: Path, findings: Findings) -> None:
    assert len(findings.trials) == findings.plan.trials == 4
    assert {trial.state for trial in findings.trials} == {"finished"}
    page = (searched / "report.html").read_text(encoding="utf-8")
    for network in (*findings.family, *findings.references):
        assert network.measurement is not None
        assert network.name in page


def test_show_prints_the_findings(run: Run, searched: Path, findings: Findings) -> None:
    code, out, _ = run("show", searched)
    (member,) = findings.family
    (row,) = (line for line in out.splitlines() if line.startswith(f"{member.name}  "))
    assert code == 0
    assert percent(member.learning.test_accuracy or 0.0) in row
    code, out, _ = run("show", searched, "--json")
    assert from_json(out.encode(), Findings) == findings


def test_show_tells_how_far_a_search_is(run: Run, searched: Path, begun: Path, findings: Findings) -> None:
    study, first = Study.open(Site(begun).study), findings.trials[0]
    (claimed,) = study.claim(lambda state: [Start(first.point, first.budget, first.suggested_by)])
    study.finish(msgspec.structs.replace(first, number=claimed.number, worker=claimed.worker))
    code, out, _ = run("show", begun)
    assert code == 0
    assert "1 of 4 trials have begun" in out
    assert percent(first.values["accuracy"]) in out
    code, out, _ = run("show", begun, "--json")
    (shown,) = msgspec.convert(json.loads(out), list[Trial])
    assert shown.values == first.values


def test_show_tells_why_trials_failed(run: Run, begun: Path, findings: Findings) -> None:
    study, first = Study.open(Site(begun).study), findings.trials[0]
    (claimed,) = study.claim(lambda state: [Start(first.point, first.budget, "random")])
    study.fail(claimed, "it was too large")
    _, out, _ = run("show", begun)
    assert "Failed: trial 0: it was too large" in out
    spoiled = msgspec.structs.replace(findings, trials=(study.state().trials[0], *findings.trials[1:]))
    (begun / "findings.json").write_bytes(to_json(spoiled))
    _, out, _ = run("show", begun)
    assert "Failed: trial 0: it was too large" in out


def test_compare_sets_two_side_by_side_and_writes_a_page(
    run: Run, searched: Path, findings: Findings, tmp_path: Path
) -> None:
    other = shutil.copytree(searched, tmp_path / "other")
    code, out, _ = run("compare", searched, other, "--html", tmp_path / "both.html")
    assert code == 0
    assert out.index(str(searched)) < out.index(str(other))
    assert out.count(findings.family[0].name) >= 2
    assert str(other) in (tmp_path / "both.html").read_text(encoding="utf-8")


def test_a_search_that_has_ended_is_told_again_and_what_is_given_in_vain_is_named(
    run: Run, searched: Path, findings: Findings, tmp_path: Path
) -> None:
    folder = shutil.copytree(searched, tmp_path / "again")
    code, _, err = run("--resume", "--trials", "9", "--output", folder)
    assert code == 0
    assert "given in vain: --trials." in err
    again = from_json((folder / "findings.json").read_bytes(), Findings)
    assert again.trials == findings.trials
    assert [member.measurement for member in again.family] == [member.measurement for member in findings.family]


def test_the_bench_prints_its_contract(run: Run, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    rows = [f"{a},{b},{(a * 7 + b * 3) % 31},{(a * 5 + b * 11) % 37 + 1}" for a in range(16) for b in range(16)]
    table.write_text("\n".join(["a,b,accuracy,latency", *rows]), encoding="utf-8")
    words = ("--choices", "a", "b", "--maximise", "accuracy", "--minimise", "latency", "--method", "random")
    code, out, _ = run("bench", table, *words, "--seeds", 2, "--workers", 1, "--json")
    ratios = json.loads(out)["hypervolume_ratio"]
    assert code == 0
    assert list(ratios) == ["50", "100", "200"]
    assert 0 < ratios["50"] <= ratios["100"] <= ratios["200"] <= 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--data nothing", "the data set must be a known name"),
        ("--method evolutoin", "Did you mean 'evolution'?"),
        ("--platform tpu-v44", "Did you mean"),
        ("--space efficientnet-y", "Did you mean"),
        ("--max-latency 5", "Such as 5s, 5ms"),
        ("--max-memory lots", "--max-memory: an amount must be a number above zero with a unit"),
        ("--max-params 0", "--max-params: an amount must be a number above zero with a unit"),
        ("--max-params 10 --platform x86", "The nearest that was found has params"),
        ("--min-throughput 1000000k/s --platform x86", "within the limits: throughput_per_s 1e+09"),
        ("--max-energy 5mJ --platform tpu-v5e", "the platform must tell energy_j"),
        ("--trials 0", "'trials'"),
        ("--family 0", "'family'"),
        ("--images -1", "images must not be negative"),
        ("--workers 0", "one worker at least"),
        ("--ray auto", "a cluster is for the workers beside the first"),
        ("--latency measure --workers 2", "while nothing else runs"),
        ("--latency estimate", "Name a platform"),
        ("--recipe batch", "NAME=VALUE"),
        ("--recipe bach=64", "Did you mean 'batch'?"),
        ("--recipe epochs=3", "options, of their own"),
        ("--recipe batch=0", "batch"),
        ("--reward 5ms much --method reinforce", "a weight must be a number"),
        ("--reward 5ms -0.07", "a reward is what reinforce maximises"),
        ("--reward 5ms -0.07 --method reinforce --costs params", "latency among the costs"),
        ("--evidence magic", "invalid choice: 'magic'"),
        ("--device cuda:99", "torch"),
        ("--resume", "the folder must hold a search"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_line_and_nothing_is_left_behind(
    run: Run, tmp_path: Path, words: str, told: str
) -> None:
    code, out, err = run("--output", tmp_path / "found", *words.split())
    assert (code, out) == (2, "")
    assert told in err
    assert err.startswith("modelwright: error: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "found").exists()


def test_a_folder_in_use_is_left_as_it_is(run: Run, searched: Path, begun: Path) -> None:
    for folder in (searched, begun):
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        code, _, err = run("--output", folder)
        assert code == 2
        assert "Go on with it by --resume, or choose another folder." in err
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_actions_want_a_search_in_the_folder_and_comparing_wants_it_ended(
    run: Run, searched: Path, begun: Path, tmp_path: Path
) -> None:
    for action in ("show", "salvage"):
        code, _, err = run(action, tmp_path)
        assert (code, "the folder must hold a search" in err) == (2, True)
    code, _, err = run("compare", searched, begun)
    assert (code, "a search must have ended to be compared" in err) == (2, True)
    code, _, err = run("bench", tmp_path / "none.csv", "--choices", "a")
    assert (code, err.count("\n")) == (1, 1)
