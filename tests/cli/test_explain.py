"""The command `explain`: bottlenecks and advice, as words, JSON, a page and an edited file."""

import json
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from modelwright.cli.main import main
from modelwright.hardware.catalogue import platform
from modelwright.hardware.model import estimate
from modelwright.networks.catalogue import architecture
from modelwright.networks.workloads import workload
from modelwright.records import convert, to_toml
from modelwright.records.advice import Explanation
from modelwright.records.architecture import Architecture, ConvStem, MBConv, PoolHead, Stage

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explain.md"
TINY = Architecture(
    name="tiny",
    input=(3, 64, 64),
    classes=4,
    stem=ConvStem((16,)),
    stages=(Stage(MBConv(16, 96, 24, 5, 2, squeeze=4)), Stage(MBConv(24, 144, 24, 5, squeeze=6))),
    head=PoolHead(),
)
ON = ("--platform", "tpu-v3", "--batch", "128")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pytestconfig: pytest.Config
) -> Run:
    """Runs a command line in a folder that holds tiny.toml and mine.py; traced architectures are kept between runs."""
    (tmp_path / "tiny.toml").write_text(to_toml(TINY), encoding="utf-8")
    built = "torch.nn.Sequential(*(torch.nn.Linear(64, 64) for _ in range(8)))"
    (tmp_path / "mine.py").write_text(f"import torch\n\n\ndef build():\n    return {built}\n", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(pytestconfig.cache.mkdir("modelwright")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def command(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return command


def test_it_says_what_holds_the_network_up_and_what_would_help_in_order_of_what_each_saves(run: Run) -> None:
    code, out, _ = run("explain", "tiny.toml", *ON, "--tries", 4)
    first, *_ = out.splitlines()
    assert code == 0
    assert first.startswith("tiny on tpu-v3, batch 128, bf16 engine: ")
    assert "5x5 depthwise convolution" in out
    assert re.search(r"^1 .* \d+\.\d% ", out, re.MULTILINE)
    assert "is not predicted" in out


def test_json_is_the_record_and_each_gain_is_that_of_the_edited_network(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("explain", "tiny.toml", *ON, "--tries", 3, "--json")
    plain = json.loads(out)
    gains = [(row.pop("gain"), row.pop("number", None)) for row in plain["advice"]]
    found = convert(plain, Explanation)
    now = estimate(workload("tiny.toml"), platform("tpu-v3"), batch=128)
    assert code == 0
    assert found.now.latency_s == now.latency_s
    assert sum(bottleneck.spent_s for bottleneck in found.bottlenecks) == pytest.approx(now.latency_s)
    for (gain, number), advice in zip(gains, found.advice, strict=True):
        assert gain == pytest.approx(advice.gain)
        assert (number is None) == (advice.kind == "setting") == (advice.architecture is None)
        if advice.architecture:
            (tmp_path / "edited.toml").write_text(to_toml(advice.architecture), encoding="utf-8")
            then = estimate(workload(str(tmp_path / "edited.toml")), platform("tpu-v3"), batch=128)
            assert gain == pytest.approx(1 - then.latency_s / now.latency_s)


def test_a_change_can_be_written_and_is_an_architecture_like_any_other(run: Run, tmp_path: Path) -> None:
    _, out, _ = run("explain", "tiny.toml", *ON, "--tries", 2, "--json")
    first = json.loads(out)["advice"][0]
    for name in ("edited.toml", "edited.json"):
        code, _, err = run("explain", "tiny.toml", *ON, "--tries", 2, "--write", 1, name)
        assert (code, err) == (0, f"wrote {name}\n")
        assert architecture(str(tmp_path / name)) == convert(first["architecture"], Architecture)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["edited.json", "edited.toml", "mine.py", "tiny.toml"]
    assert run("cost", "edited.toml", *ON)[0] == 0


def test_a_module_gets_bottlenecks_and_settings_and_is_told_why_no_more(run: Run) -> None:
    code, out, _ = run("explain", "mine:build", "--input", "1x64", "--platform", "h200", "--execution", "eager")
    assert code == 0
    assert "no architecture record" in out
    assert "Changes to the architecture" not in out
    assert re.search(r"^execution eager -> graph .* capture it as a graph", out, re.MULTILINE)


def test_the_page_holds_bottlenecks_advice_and_where_the_numbers_come_from(run: Run, tmp_path: Path) -> None:
    code, _, err = run("explain", "tiny.toml", *ON, "--tries", 2, "--html", "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert (code, err) == (0, "wrote page.html\n")
    for words in ("Where the time goes", "What would change that", "5x5 depthwise convolution", "is not predicted",
                  "modelwright explain tiny.toml --platform tpu-v3 --batch 128"):  # fmt: skip
        assert words in text


@pytest.mark.parametrize(
    ("words", "lesson"),
    [
        (("efficientnet-b00", *ON), "Did you mean"),
        (("tiny.toml", "--platform", "tpu-v33"), "Did you mean"),
        (("tiny.toml",), "--platform"),
        (("tiny.toml", "tiny.toml", *ON), "one network"),
        (("tiny.toml", *ON, "--batch", "0"), "at least 1"),
        (("tiny.toml", *ON, "--tries", "-1"), "--tries"),
        (("tiny.toml", *ON, "--write", "0", "a.toml"), "whole one from 1"),
        (("tiny.toml", *ON, "--write", "one", "a.toml"), "whole one from 1"),
        (("tiny.toml", *ON, "--write", "1", "a.txt"), ".toml or .json"),
        (("tiny.toml", *ON, "--write", "1", "nowhere/a.toml"), "folder that exists"),
        (("tiny.toml", *ON, "--write", "99", "a.toml", "--tries", "0"), "change of that number"),
        (("mine:build", "--input", "1x64", *ON, "--write", "1", "a.toml"), "only an architecture"),
    ],
)
def test_a_wrong_word_is_refused_with_the_way_out(
    words: tuple[str, ...], lesson: str, run: Run, tmp_path: Path
) -> None:
    code, out, err = run("explain", *words)
    assert (code, out) == (2, "")
    assert lesson in err
    assert not (tmp_path / "a.toml").exists()


def test_the_guide_shows_what_its_command_prints(monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(pytestconfig.cache.mkdir("modelwright")))
    text = PAGE.read_text(encoding="utf-8")
    generator = runpy.run_path(str(PAGE.with_name("generate_examples.py")))
    assert generator["page"](text) == text, "run python docs/generate_examples.py"
