"""The command `whatif`: before and after, sweeps and grids, and refusals that name the way out."""

import json
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from modelwright.cli.main import main
from modelwright.hardware import estimate, platform
from modelwright.networks.workloads import workload
from modelwright.records import convert, to_toml
from modelwright.records.architecture import Architecture, ConvStem, MBConv, PoolHead, Stage
from modelwright.records.sweep import Sweep

ROOT = Path(__file__).resolve().parents[2]
GRID = ["--sweep", "hbm.bandwidth=0.5x,1x", "--sweep", "vector.peak.fp32=1x,2x,4x"]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pytestconfig: pytest.Config
) -> Run:
    """Runs a command line in a folder that holds tiny.toml; traced architectures are kept between test runs."""
    found = Architecture(
        name="tiny",
        input=(3, 16, 16),
        classes=4,
        stem=ConvStem((8,)),
        stages=(Stage(MBConv(8, 16, 8)),),
        head=PoolHead(),
    )
    (tmp_path / "tiny.toml").write_text(to_toml(found), encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(pytestconfig.cache.mkdir("modelwright")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def command(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return command


def test_json_is_the_records_and_the_grid_holds_the_plain_estimate(run: Run) -> None:
    code, out, _ = run("whatif", "tiny.toml", "--platform", "tpu-v4i", "--batch", 64, *GRID, "--json")
    (found,) = convert(json.loads(out), list[Sweep])
    plain = estimate(workload("tiny.toml"), platform("tpu-v4i"), batch=64)
    assert code == 0
    assert found.knobs == {"hbm.bandwidth": ("0.5x", "1x"), "vector.peak.fp32": ("1x", "2x", "4x")}
    assert len(found.variants) == 6
    assert found.at("1x", "1x").latency_s == found.baseline.latency_s == plain.latency_s


def test_doubling_the_bandwidth_never_slows(run: Run) -> None:
    for batch in (1, 64, 4096):
        words = (
            "whatif",
            "tiny.toml",
            "--platform",
            "tpu-v4i",
            "--batch",
            batch,
            "--set",
            "hbm.bandwidth=2x",
            "--json",
        )
        (found,) = convert(json.loads(run(*words)[1]), list[Sweep])
        assert found.variants[0].speedup >= 1


def test_a_table_shows_before_and_after(run: Run) -> None:
    code, out, _ = run("whatif", "tiny.toml", "--platform", "tpu-v4i", "--set", "hbm.bandwidth=2x")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:3]] == ["tiny", "tiny"]
    assert "as it is" in out.splitlines()[1]
    assert "hbm.bandwidth 2x" in out.splitlines()[2]


def test_two_sweeps_make_a_grid(run: Run) -> None:
    out = run("whatif", "tiny.toml", "--platform", "tpu-v4i", *GRID)[1]
    lines = out.splitlines()
    assert re.findall(r"hbm.bandwidth \S+", lines[1]) == ["hbm.bandwidth 0.5x", "hbm.bandwidth 1x"]
    named = [f"vector.peak.fp32 {change}" for change in ("1x", "2x", "4x")]
    assert [line.split("  ")[0] for line in lines[2:5]] == named


@pytest.mark.parametrize("changes", [["--set", "hbm.bandwidth=2x"], GRID[:2], GRID])
def test_a_page_names_what_was_changed(run: Run, tmp_path: Path, changes: list[str]) -> None:
    code, _, err = run("whatif", "tiny.toml", "--platform", "tpu-v4i", *changes, "--html", "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert (code, err) == (0, "wrote page.html\n")
    assert all(word in page for word in ("tiny", "tpu-v4i", "hbm.bandwidth"))


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([], 2, "--set or --sweep"),
        (["--set", "hbm.bandwith=2x"], 2, "Did you mean 'hbm.bandwidth'"),
        (["--set", "hbm.bandwidth"], 2, "KEY=VALUE"),
        (["--set", "=2x"], 2, "KEY=VALUE"),
        (["--set", "hbm.bandwidth=fast"], 2, "900GB/s"),
        (["--set", "hbm.bandwidth=2x", "--set", "hbm.bandwidth=3x"], 2, "once"),
        (["--set", "hbm.bandwidth=2x", "--sweep", "hbm.bandwidth=1x,2x"], 2, "either swept or set"),
        (["--sweep", "hbm.bandwidth=1x,"], 2, "900GB/s"),
        (["--sweep", "hbm.bandwidth=1x,1x"], 2, "differ"),
        ([*GRID, "--sweep", "cmem.bandwidth=1x"], 2, "at most two"),
        (["--set", "hbm.capacity=0.02x", "--batch", "100000"], 3, "smaller batch"),
    ],
)
def test_a_refusal_is_one_line_and_leaves_nothing(
    run: Run, tmp_path: Path, words: list[str], code: int, says: str
) -> None:
    before = sorted(tmp_path.iterdir())
    given, out, err = run("whatif", "tiny.toml", "--platform", "tpu-v4i", *words, "--html", "page.html")
    assert (given, out) == (code, "")
    assert err.startswith("modelwright: error: ")
    assert err.count("\n") == 1
    assert says in err
    assert sorted(tmp_path.iterdir()) == before


def test_a_platform_must_be_named(run: Run) -> None:
    assert run("whatif", "tiny.toml", "--set", "hbm.bandwidth=2x")[0] == 2


def test_the_examples_of_the_page_print_what_stands_below_them(run: Run) -> None:
    text = (ROOT / "docs" / "whatif.md").read_text(encoding="utf-8")
    generator = runpy.run_path(str(ROOT / "docs" / "generate_examples.py"))
    assert generator["page"](text) == text, "run python docs/generate_examples.py"


def test_the_python_of_the_page_runs(run: Run, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    kept = pytestconfig.cache.mkdir("modelwright") / "modelwright" / "workloads"
    kept.mkdir(parents=True, exist_ok=True)
    (tmp_path / "cache").symlink_to(kept)
    (source,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "whatif.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec(source, names)
    assert isinstance(names["found"], Sweep)
