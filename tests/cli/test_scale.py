"""The command `scale`: a family as table, JSON, files and page, and refusals that name the way out."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from modelwright.cli.main import main
from modelwright.hardware import estimate, estimate_many, platform
from modelwright.networks import architecture
from modelwright.networks.measuring import Protocol, Subject
from modelwright.networks.trace import trace
from modelwright.records import Device, Family, Measurement, convert, to_toml
from modelwright.records.architecture import Architecture, ConvStem, MBConv, PoolHead, Stage
from modelwright.search.scale.multiply import scaled

BASE = ["mine.toml", "--platform", "v100-sxm", "--batch", "4096"]
SEEN = "depth,width,resolution,accuracy\n" + "\n".join(
    f"{d},{w},{r},{0.9 - 0.3 * w**-0.5:.4f}"
    for d in (1, 2) for w in (1, 1.5, 2, 3) for r in (1, 1.5)
)  # fmt: skip

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in a folder that holds a base and observations of it."""
    stages = (
        Stage(MBConv(16, 64, 24, stride=2, squeeze=4)),
        Stage(MBConv(24, 96, 40, kernel=5, stride=2, squeeze=6)),
    )
    base = Architecture("mine", (3, 32, 32), 10, ConvStem((16,)), stages, PoolHead(channels=160))
    (tmp_path / "mine.toml").write_text(to_toml(base), encoding="utf-8")
    (tmp_path / "seen.csv").write_text(SEEN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["scale", *words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def family(run: Run, *words: str) -> Family:
    code, out, err = run(*BASE, "--json", *words)
    assert code == 0, err
    return convert(json.loads(out), Family)


def test_targets_rise_from_the_bases_own_latency(run: Run) -> None:
    found = family(run, "--members", "2", "--growth", "1.4")
    start = found.start.latency_s
    assert [one.target_s for one in found.members] == pytest.approx([1.4 * start, 1.96 * start])
    assert all(one.latency_s <= (one.target_s or 0) for one in found.members)


def test_targets_can_be_times_or_other_networks(run: Run) -> None:
    found = family(run, "--targets", "6ms", "4500us")
    assert [one.target_s for one in found.members] == pytest.approx([0.0045, 0.006])
    larger = scaled(architecture("mine.toml"), depth=2)
    Path("larger.toml").write_text(to_toml(larger), encoding="utf-8")
    cost = estimate_many([larger], platform("v100-sxm"), batch=4096).latency_s[0]
    (member,) = family(run, "--like", "larger.toml").members
    assert member.target_s == pytest.approx(cost)


def test_the_law_is_that_of_the_users_observations(run: Run) -> None:
    found = family(run, "--observations", "seen.csv", "--targets", "6ms")
    assert found.law is not None
    assert len(found.law.observations) == 16
    assert found.start.accuracy == pytest.approx(0.6, abs=0.002)
    (member,) = found.members
    assert (member.asked.depth, member.asked.resolution) == (1.0, 1.0), "in seen.csv only width helps"
    assert member.accuracy == pytest.approx(0.9 - 0.3 * member.real.width**-0.5, abs=0.005)


def test_every_file_can_be_read_again(run: Run, tmp_path: Path) -> None:
    code, out, err = run(*BASE, "--targets", "5ms", "6ms", "--output", "family", "--html", "page.html")
    assert code == 0
    assert "family.json" in err
    kept = convert(json.loads((tmp_path / "family" / "family.json").read_bytes()), Family)
    assert [one.target_s for one in kept.members] == pytest.approx([0.005, 0.006])
    for one in (kept.start, *kept.members):
        assert architecture(str(tmp_path / "family" / f"{one.name}.json")) == one.architecture
        assert one.name in out
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert all(one.name in page for one in kept.members)
    assert "1905.11946" in page
    assert re.search(r"modelwright.* scale mine.toml --platform v100-sxm --batch 4096 --targets 5ms 6ms", page, re.I)
    assert not re.search(r"""(?:src|href)=["']?https?:""", page)


def test_a_reward_may_pass_its_target_and_one_exponent_is_explained(run: Run) -> None:
    found = family(run, "--targets", "5ms", "--reward", "0", "-0.001")
    assert found.reward == (0.0, -0.001)
    assert found.members[0].latency_s > 0.005, "so small an exponent hardly minds"
    _, out, _ = run(*BASE, "--targets", "5ms", "6ms", "--reward", "-0.07")
    assert "One exponent" in out


def test_measured_members_are_within_their_targets(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine is one that takes twice what the model says."""
    device = Device("cpu", "a slow machine", 1, {})

    def measure(subjects: Sequence[Subject], protocol: Protocol, **_: object) -> list[Measurement]:
        assert {(one.setting.batch, one.setting.precision, one.setting.threads) for one in subjects} == {(1, "fp32", 1)}
        assert protocol.repetitions == 3
        took = []
        for one in subjects:
            seconds = 2 * estimate(trace(one.make(), one.inputs, name=one.name), platform("x86")).latency_s
            took.append(Measurement(one.name, 1, "fp32", "eager", False, (seconds,), seconds, 0.0, 1, 1, "", device))
        return took

    monkeypatch.setattr("modelwright.networks.measuring.measure", measure)
    words = ["mine.toml", "--platform", "x86", "--measure", "--threads", "1", "--repetitions", "3"]
    code, out, err = run(*words, "--members", "2", "--growth", "1.3", "--json")
    assert code == 0, err
    found = convert(json.loads(out), Family)
    assert found.device == device
    for one in found.members:
        assert one.measured_s == pytest.approx(2 * one.estimated_s, rel=0.01)
        assert one.measured_s is not None
        assert one.measured_s <= (one.target_s or 0)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["mine.toml"], "platform"),
        (["nothing", "--platform", "t4"], "nothing"),
        (["vit-b-16", "--platform", "t4"], "convolutional"),
        (["resnet-50", "--platform", "t4"], "MBConv"),
        ([*BASE, "--targets", "5"], "must be a time"),
        ([*BASE, "--targets", "1us"], "below the base's own"),
        ([*BASE, "--targets", "5ms", "--members", "3"], "one way"),
        ([*BASE, "--members", "0"], "grow"),
        ([*BASE, "--reward", "0.1"], "must fall"),
        ([*BASE, "--reward", "0", "-1", "-2"], "one exponent or two"),
        ([*BASE, "--observations", "none.csv"], "readable"),
        ([*BASE, "--html", "no/where.html"], "folder must exist"),
        ([*BASE, "--measure"], "CUDA"),
        (["mine.toml", "--platform", "tpu-v3", "--measure"], "execution"),
    ],
)
def test_what_cannot_be_done_is_refused_with_code_2(run: Run, words: list[str], told: str) -> None:
    code, out, err = run(*words)
    assert code == 2
    assert out == ""
    assert told in err
