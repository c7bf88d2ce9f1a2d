"""The command `cost`: its rows are the model's records, its refusals are one line, and it leaves nothing half-done."""

import json
import os
import re
import resource
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelwright.cli.main import main
from modelwright.hardware import estimate, platform
from modelwright.networks.workloads import workload
from modelwright.records import Estimate, convert, to_toml
from modelwright.records.architecture import Architecture, ConvStem, MBConv, PoolHead, Stage

ROOT = Path(__file__).resolve().parents[2]
KEYS = {
    "architecture", "platform", "batch", "precision", "latency_s", "throughput_per_s", "params", "flops", "bytes",
    "intensity", "efficiency", "bound",
}  # fmt: skip

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pytestconfig: pytest.Config
) -> Run:
    """Runs a command line in an empty folder; traced architectures are kept from one test run to the next."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(pytestconfig.cache.mkdir("modelwright")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def command(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return command


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file that holds two blocks of a network."""
    found = Architecture(
        name="tiny",
        input=(3, 16, 16),
        classes=4,
        stem=ConvStem((8,)),
        stages=(Stage(MBConv(8, 16, 8, squeeze=4), repeats=2),),
        head=PoolHead(),
    )
    path = tmp_path / "tiny.toml"
    path.write_text(to_toml(found), encoding="utf-8")
    yield path
    left = {entry.name for entry in tmp_path.iterdir()}
    assert not {name for name in left if name.endswith(".part")}, "something half-written was left"


def test_rows_of_json_are_the_models_records(run: Run, tiny: Path) -> None:
    code, out, _ = run("cost", tiny, "--platform", "tpu-v3", "h200", "--batch", 1, 8, "--json", "--layers")
    rows = json.loads(out)
    work = workload(str(tiny))
    expected = [estimate(work, platform(name), batch=batch) for name in ("tpu-v3", "h200") for batch in (1, 8)]
    assert code == 0
    assert [convert(row, Estimate) for row in rows] == expected


def test_rows_without_kernels_have_every_other_key(run: Run, tiny: Path) -> None:
    rows = json.loads(run("cost", tiny, "--json")[1])
    assert [row["platform"] for row in rows] == ["tpu-v3", "v100-sxm", "h200"]
    for row in rows:
        assert row.keys() >= KEYS
        assert row.keys() == set(Estimate.__struct_fields__) - {"kernels"}
        assert row["throughput_per_s"] == pytest.approx(row["batch"] / row["latency_s"])
        assert row["intensity"] == pytest.approx(row["flops"] / row["bytes"])


def test_precision_and_execution_reach_the_model(run: Run, tiny: Path) -> None:
    words = ("--platform", "h200", "--precision", "fp32", "--execution", "graph", "--json")
    rows = json.loads(run("cost", tiny, *words)[1])
    assert [(row["precision"], row["execution"]) for row in rows] == [("fp32", "graph")]


def test_a_table_is_whole_however_narrow_the_screen(run: Run, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = run("cost", tiny, "--layers")[1]
    monkeypatch.setenv("COLUMNS", "30")
    assert run("cost", tiny, "--layers")[1] == wide
    assert "…" not in wide
    assert all(word in wide for word in ("tiny", "tpu-v3", "v100-sxm", "h200", "latency", "bound", "stages.0.1"))


def test_a_network_or_platform_named_twice_is_costed_once(run: Run, tiny: Path) -> None:
    rows = json.loads(run("cost", tiny, tiny, "--platform", "v100", "v100-sxm", "--batch", 4, 4, "--json")[1])
    assert len(rows) == 1


def test_a_page_is_written_and_names_all_that_was_asked(run: Run, tiny: Path, tmp_path: Path) -> None:
    code, _, err = run("cost", tiny, "--platform", "t4", "l4", "--html", "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert (code, err) == (0, "wrote page.html\n")
    assert all(word in page for word in ("tiny", "t4", "l4", platform("t4").title, platform("l4").title))


def test_a_module_of_the_current_folder_is_found(run: Run, tmp_path: Path) -> None:
    source = (
        "import torch\nclass Odd(torch.nn.Module):\n    def forward(self, x):\n        return torch.special.i0(x)\n"
    )
    (tmp_path / "cost_example.py").write_text(source, encoding="utf-8")
    code, out, _ = run("cost", "cost_example:Odd", "--input", "1x64", "--batch", 8)
    assert code == 0
    assert "no rule describes special_i0" in out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["resnet50"], 2, "Did you mean 'resnet-50'"),
        (["tiny.toml", "--platform", "h2000"], 2, "Did you mean 'h200'"),
        (["missing.toml"], 2, "missing.toml"),
        (["tiny.toml", "--batch", "0"], 2, "at least 1"),
        (["tiny.toml", "--batch", "many"], 2, "--batch"),
        (["tiny.toml", "--precision", "fp8", "--platform", "v100"], 2, "fp16"),
        (["tiny.toml", "--input", "1x3x16x16"], 2, "module:attribute"),
        (["nowhere:build", "--input", "1x3"], 2, "nowhere"),
        (["tiny.toml", "--platform", "t4", "--batch", "100000000"], 3, "smaller batch"),
        ([], 2, "ARCH"),
    ],
)
def test_a_refusal_is_one_line_and_leaves_nothing(
    run: Run, tiny: Path, tmp_path: Path, words: list[str], code: int, says: str
) -> None:
    before = sorted(tmp_path.iterdir())
    given, out, err = run("cost", *words, "--html", "page.html")
    assert (given, out) == (code, "")
    assert err.startswith("modelwright: error: ")
    assert err.count("\n") == 1
    assert says in err
    assert sorted(tmp_path.iterdir()) == before


def test_a_page_that_has_no_place_is_refused_before_any_work(run: Run, tmp_path: Path) -> None:
    for place in ("missing/page.html", ".", "/dev/full"):
        code, out, err = run("cost", "resnet-50", "--no-cache", "--html", place)
        assert (code, out, err.count("\n")) == (2, "", 1)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file may grow beyond 100 kB, as on a disk that is nearly full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("before", [None, "the page of yesterday"])
def test_a_full_disk_leaves_what_was_there(
    run: Run, tiny: Path, tmp_path: Path, full_disk: None, before: str | None
) -> None:
    page = tmp_path / "page.html"
    if before is not None:
        page.write_text(before)
    code, out, err = run("cost", tiny, "--html", page)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "page.html" in err
    assert (page.read_text() if page.exists() else None) == before


def without_torch(words: list[str], cache: Path) -> subprocess.CompletedProcess[str]:
    look = f"import sys; sys.modules['torch'] = None; from modelwright.cli.main import main; sys.exit(main({words!r}))"
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, "-c", look]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)


def test_a_second_time_needs_no_torch(run: Run, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = ["cost", str(tiny), "--platform", "h200"]
    cold = without_torch(words, tmp_path / "cache")
    assert cold.returncode == 1
    assert "pip install 'modelwright[networks]'" in cold.stderr
    assert run(*words)[0] == 0
    warm = without_torch(words, tmp_path / "cache")
    assert (warm.returncode, warm.stderr) == (0, "")
    assert "tiny" in warm.stdout


def test_the_examples_of_the_page_print_what_stands_below_them(run: Run) -> None:
    text = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")
    generator = runpy.run_path(str(ROOT / "docs" / "generate_examples.py"))
    assert generator["page"](text) == text, "run python docs/generate_examples.py"


def test_the_table_of_columns_names_every_key() -> None:
    text = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(\w+)`", text)) >= set(Estimate.__struct_fields__)
