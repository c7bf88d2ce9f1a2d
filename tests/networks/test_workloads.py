"""Workloads by name: an architecture, a file or an address; kept once traced, and never trusted when broken."""

import sys
from pathlib import Path

import pytest

from modelwright.errors import RecordError, SettingError, ShapeError, TraceError, UnknownNameError
from modelwright.networks.workloads import workload
from modelwright.records import to_toml
from modelwright.records.architecture import Architecture, ConvStem, MBConv, PoolHead, Stage

TINY = Architecture(
    name="tiny",
    input=(3, 16, 16),
    classes=4,
    stem=ConvStem((8,)),
    stages=(Stage(MBConv(8, 16, 8, squeeze=4)),),
    head=PoolHead(),
)

MODULES = """
import torch
from torch import nn

def build():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())

class Reads(nn.Module):
    '''Cannot be built on the meta device, since it reads a value.'''
    def __init__(self):
        super().__init__()
        self.scale = float(torch.ones(1).sum())
    def forward(self, x):
        return x * self.scale

class Twice(nn.Module):
    def forward(self, x, y):
        return x @ y

class Branches(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x

def broken():
    raise RuntimeError("the weights are missing")

def number():
    return 7

model = build()
seven = 7
"""


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    path = tmp_path / "tiny.toml"
    path.write_text(to_toml(TINY), encoding="utf-8")
    return str(path)


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "workload_examples.py").write_text(MODULES, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "workload_examples", raising=False)
    return "workload_examples"


def test_a_kept_workload_is_the_traced_one(tiny: str, tmp_path: Path) -> None:
    cache = tmp_path / "deep" / "cache"
    traced, kept, again = workload(tiny), workload(tiny, cache=cache), workload(tiny, cache=cache)
    assert traced == kept == again
    assert len(list(cache.iterdir())) == 1


def test_a_workload_says_what_the_architecture_is(tiny: str) -> None:
    found = workload(tiny)
    stem = 8 * 8 * 8 * 3 * 9  # 8 x 8 positions, 8 channels, 3 x 3 taps over 3 channels
    assert found.name == "tiny"
    assert found.operators[0].macs == found.batch * stem


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"name": "tiny"}', b"\xff\xfe", None])
def test_a_broken_cache_is_traced_over(tiny: str, tmp_path: Path, damage: bytes | None) -> None:
    good = workload(tiny, cache=tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert workload(tiny, cache=tmp_path / "cache") == good
    assert file.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_done_without(tiny: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert workload(tiny, cache=tmp_path / "file") == workload(tiny)


def test_what_changes_a_trace_changes_what_is_kept(tiny: str, tmp_path: Path) -> None:
    workload(tiny, cache=tmp_path / "cache")
    workload(tiny, cache=tmp_path / "cache", channels_last=True)
    other = Path(tiny).read_text(encoding="utf-8").replace("classes = 4", "classes = 5")
    Path(tiny).write_text(other, encoding="utf-8")
    workload(tiny, cache=tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 3


@pytest.mark.parametrize("attribute", ["build", "model"])
def test_a_builder_and_a_module_give_the_same_work(modules: str, attribute: str) -> None:
    found = workload(f"{modules}:{attribute}", inputs=["4x3x8x8"])
    assert (found.name, found.batch, found.macs) == (f"{modules}:{attribute}", 4, 4 * 6 * 6 * 8 * 27)


def test_a_module_that_reads_values_is_built_on_the_cpu(modules: str) -> None:
    assert workload(f"{modules}:Reads", inputs=["2x3"]).operators


def test_inputs_go_to_the_arguments_in_order(modules: str) -> None:
    assert workload(f"{modules}:Twice", inputs=["2x3", "3x5"]).macs == 2 * 3 * 5


@pytest.mark.parametrize(
    ("attribute", "inputs", "error", "words"),
    [
        ("build", [], SettingError, "--input 1x3x224x224"),
        ("build", ["1x5x8x8"], ShapeError, "--input"),
        ("build", ["1x3x8by8"], ShapeError, "1x3x224x224"),
        ("Branches", ["2x3"], TraceError, "torch.export"),
        ("broken", ["1x3"], TraceError, "the weights are missing"),
        ("number", ["1x3"], SettingError, "must return a torch.nn.Module"),
        ("seven", ["1x3"], SettingError, "must lead to a module"),
        ("nothing", ["1x3"], RecordError, "nothing"),
    ],
)
def test_an_address_that_leads_nowhere_says_so(
    modules: str, attribute: str, inputs: list[str], error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as refused:
        workload(f"{modules}:{attribute}", inputs=inputs)
    assert words in str(refused.value)


def test_a_module_that_cannot_be_imported_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "workload_faulty.py").write_text("this is no Python", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(TraceError, match="SyntaxError"):
        workload("workload_faulty:build", inputs=["1x3"])
    with pytest.raises(RecordError, match="nowhere_to_be_found"):
        workload("nowhere_to_be_found:build", inputs=["1x3"])
    with pytest.raises(SettingError, match="module:attribute"):
        workload("./workload_faulty.py:build", inputs=["1x3"])


def test_an_unknown_architecture_is_met_with_near_names() -> None:
    with pytest.raises(UnknownNameError, match="resnet-50"):
        workload("resnet50")
    with pytest.raises(SettingError, match="its own input shape"):
        workload("resnet-50", inputs=["1x3x224x224"])
