"""The target of GPUs: what it refuses where there is none, what it writes, and on a device what really runs."""

from pathlib import Path

import msgspec
import pytest
import torch
from torch import nn

from modelwright.errors import RecordError, SettingError
from modelwright.quantize.candidates import fallback, left_in_float
from modelwright.quantize.graph import capture
from modelwright.quantize.numerics import sqnr_db
from modelwright.quantize.prepare import quantized_layers
from modelwright.quantize.run import quantize_for
from modelwright.quantize.settings import Site, Wishes
from modelwright.quantize.subject import Subject
from modelwright.quantize.targets.cuda import PROFILE, Cuda, CudaProgram
from modelwright.quantize.targets.openvino import OpenVino
from modelwright.records import Quantization

DYNAMIC = Quantization(kind="dynamic", layers={"head": "fp32"})
on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


class Lines(nn.Module):
    """Three matrices, the last with sides that no kernel takes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 128)
        self.second = nn.Linear(128, 64, bias=False)
        self.head = nn.Linear(64, 10)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(torch.relu(self.second(torch.relu(self.first(given)))))
        return logits


@pytest.fixture
def network() -> tuple[torch.fx.GraphModule, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        given = torch.randn(32, 64)
        return capture(Lines().eval(), (given[:2],)), given


def test_without_a_device_it_says_so_once_before_anything_is_made(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingError, match=r"needs a CUDA device.*machine that has one"):
        quantize_for(subject, Wishes(target="cuda"), Site(tmp_path / "out"))
    with pytest.raises(SettingError, match="needs a CUDA device"):
        Cuda().load(tmp_path)
    assert not (tmp_path / "out").exists()


def test_an_old_device_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "Tesla T4")
    with pytest.raises(SettingError, match=r"Tesla T4.*capability 8.0 or more.*'7.5'"):
        Cuda().check()


def test_layers_that_no_kernel_takes_are_refused_by_name(network, tmp_path: Path) -> None:
    """Whole numbers want sides of eight, 8-bit floats of sixteen."""
    graph, given = network
    with pytest.raises(SettingError, match="head: the sides of a weight in int8 must be multiples of 8"):
        Cuda().write_dynamic(graph, msgspec.structs.replace(DYNAMIC, layers={}), (given[:2],), tmp_path)
    odd = capture(nn.Sequential(nn.Linear(24, 40)).eval(), (torch.randn(2, 24),))
    assert Cuda().fits(odd, "0", "int8")
    assert not Cuda().fits(odd, "0", "fp8")
    nothing = dict.fromkeys(("first", "second", "head"), "fp32")
    with pytest.raises(SettingError, match="a linear layer to quantize"):
        Cuda().write_dynamic(graph, Quantization(kind="dynamic", layers=nothing), (given[:2],), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_eight_bit_floats_need_a_target_and_a_device_that_have_them(network, tmp_path: Path) -> None:
    graph, given = network
    recipe = Quantization(kind="dynamic", layers={"first": "fp8", "second": "fp8", "head": "fp32"})
    with pytest.raises(SettingError, match=r"openvino has no kernels for floats of 8 bits.*cuda"):
        quantized_layers(graph, recipe, OpenVino().profile)
    assert [layer.name for layer in quantized_layers(graph, recipe, PROFILE)] == ["first", "second"]
    Cuda().write_dynamic(graph, recipe, (given[:2],), tmp_path)
    with pytest.raises(SettingError, match=r"CUDA device of compute capability 8.9 or more.*'cpu'"):
        CudaProgram(tmp_path, torch.device("cpu"), "fp32", None)


def test_the_artifact_packs_just_the_chosen_layers_and_stays_near_to_float(network, tmp_path: Path) -> None:
    """On any device: the operators that torch dispatches tell which products are of whole numbers."""
    graph, given = network
    folders = [tmp_path / name for name in ("plain", "packed")]
    for folder in folders:
        folder.mkdir()
    Cuda().write(graph, (given[:2],), folders[0])
    Cuda().write_dynamic(graph, DYNAMIC, (given[:2],), folders[1])
    plain, packed = (CudaProgram(folder, torch.device("cpu"), "fp32", 32) for folder in folders)
    torch.testing.assert_close(plain(given), graph(given))
    assert 30 < sqnr_db(graph(given), packed(given)) < 60
    weighted = [kernel for kernel in packed.kernels() if kernel.weighted]
    assert [kernel.integer for kernel in weighted] == [True, True, False]
    assert fallback(packed.kernels(), left_in_float(graph, DYNAMIC, PROFILE)) == ""
    assert not any(kernel.integer for kernel in plain.kernels())
    assert "3 convolutions and products run in float" in fallback(plain.kernels(), 1)


def test_an_artifact_with_a_part_missing_is_named(network, tmp_path: Path) -> None:
    graph, given = network
    Cuda().write_dynamic(graph, DYNAMIC, (given[:2],), tmp_path)
    (tmp_path / "packed.json").unlink()
    with pytest.raises(RecordError, match=r"packed\.json"):
        CudaProgram(tmp_path, torch.device("cpu"), "fp32", None)


def test_the_whole_way_skips_what_such_a_device_has_no_kernels_for(
    subject: Subject, run_quickly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a processor in the place of a GPU: convolutions and the last matrix, of ten classes, stay in float."""
    monkeypatch.setattr("modelwright.quantize.targets.cuda.device", lambda: torch.device("cpu"))
    found = run_quickly(subject, Wishes(target="cuda", max_drop=0.1), Site(tmp_path / "out"))
    assert [(one.name, one.state) for one in found.candidates] == [
        ("fp32", "finished"),
        ("bf16", "finished"),
        ("weights", "finished"),
    ]
    assert "cuda has no kernels for ranges that are found beforehand: none were." in found.notes
    assert (tmp_path / "out" / "artifact" / "packed.json").is_file()


@on_a_gpu
@pytest.mark.parametrize("numbers", ["int8", "fp8"])
def test_on_a_device_its_kernels_run(network, tmp_path: Path, numbers: str) -> None:
    if numbers == "fp8" and torch.cuda.get_device_capability(0) < (8, 9):
        pytest.skip("the device has no 8-bit floats")
    graph, given = network
    layers = {"head": "fp32", **({"first": "fp8", "second": "fp8"} if numbers == "fp8" else {})}
    Cuda().write_dynamic(graph, Quantization(kind="dynamic", layers=layers), (given[:2],), tmp_path)
    program = Cuda().load(tmp_path, batch=32)
    assert sqnr_db(graph(given), program(given)) > 20
    assert fallback(program.kernels(), 1) == ""
