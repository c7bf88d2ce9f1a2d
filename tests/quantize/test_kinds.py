"""Dynamic and weight-only quantization as targets write and run them, and as steps of the whole way."""

from pathlib import Path

import msgspec
import onnx
import pytest
import torch
from torch import fx, nn

from modelwright.errors import SettingError, UnknownNameError
from modelwright.quantize.choosing import weights_word
from modelwright.quantize.dynamic import without_dynamic
from modelwright.quantize.graph import capture, recurrent
from modelwright.quantize.numerics import sqnr_db
from modelwright.quantize.profile import Profile
from modelwright.quantize.settings import Site, Wishes
from modelwright.quantize.subject import Subject
from modelwright.quantize.targets.inductor import Inductor
from modelwright.quantize.targets.onnxruntime import OnnxRuntime
from modelwright.quantize.targets.openvino import OpenVino
from modelwright.quantize.targets.target import Target
from modelwright.quantize.weight_only import round_weights, whole_weights
from modelwright.records import WEIGHTS, Quantization, QuantizedCandidate

DYNAMIC, ALONE = Quantization(kind="dynamic"), Quantization(kind="weight-only")
TARGETS: dict[str, Target] = {"onnxruntime": OnnxRuntime(), "inductor": Inductor(), "openvino": OpenVino()}


class Mixed(nn.Module):
    """A convolution, and two matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3)
        self.inner = nn.Linear(8 * 36, 32)
        self.head = nn.Linear(32, 10)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        inner = self.inner(torch.relu(self.stem(pixels)).flatten(1))
        logits: torch.Tensor = self.head(torch.relu(inner))
        return logits


class Reader(nn.Module):
    """A recurrent layer before a matrix."""

    def __init__(self, kind: type[nn.LSTM | nn.GRU]) -> None:
        super().__init__()
        self.loop = kind(8, 16, batch_first=True)
        self.head = nn.Linear(16, 4)

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.loop(steps)[0][:, -1])
        return logits


def graph_of(module: nn.Module, *shape: int) -> tuple[fx.GraphModule, torch.Tensor]:
    given = torch.randn(4, *shape, generator=torch.Generator().manual_seed(1))
    return capture(module.eval(), (given[:2],)), given


def able(name: str) -> Target:
    target = TARGETS[name]
    try:
        target.check()
    except SettingError as failure:
        pytest.skip(str(failure))
    return target


@pytest.mark.parametrize("name", ["onnxruntime", "inductor"])
def test_matrices_run_in_whole_numbers_without_any_calibration_and_convolutions_do_not(
    name: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    target, (graph, given) = able(name), graph_of(Mixed(), 1, 8, 8)
    target.write_dynamic(graph, DYNAMIC, (given[:2],), tmp_path)
    program = target.load(tmp_path, batch=4)
    assert sqnr_db(graph(given), program(given)) > 30
    assert sqnr_db(graph(100 * given), program(100 * given)) > 30  # of any range
    assert sorted(kernel.integer for kernel in program.kernels() if kernel.weighted) == [False, True, True]


def test_a_matrix_named_in_the_recipe_stays_in_float(tmp_path: Path) -> None:
    target, (graph, given) = able("onnxruntime"), graph_of(Mixed(), 1, 8, 8)
    recipe = msgspec.structs.replace(DYNAMIC, layers={"inner": "fp32"})
    target.write_dynamic(graph, recipe, (given[:2],), tmp_path)
    kernels = [kernel for kernel in target.load(tmp_path).kernels() if kernel.weighted]
    assert [kernel.name for kernel in kernels if kernel.integer] == ["node_linear_1_MatMul_quant"]
    with pytest.raises(UnknownNameError, match="'inner'"):
        target.write_dynamic(graph, msgspec.structs.replace(DYNAMIC, layers={"iner": "fp32"}), (given,), tmp_path)


def test_an_lstm_runs_in_whole_numbers_where_its_target_has_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    target, (graph, given) = able("onnxruntime"), graph_of(Reader(nn.LSTM), 6, 8)
    target.write_dynamic(graph, DYNAMIC, (given[:2],), tmp_path)
    program = target.load(tmp_path)
    assert sqnr_db(graph(given), program(given)) > 25
    assert [kernel.operator for kernel in program.kernels() if kernel.integer] == [
        "DynamicQuantizeLSTM",
        "DynamicQuantizeMatMul",
    ]


def test_what_has_no_dynamic_kernel_is_refused_or_told() -> None:
    graph, given = graph_of(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten()), 1, 8, 8)
    with pytest.raises(SettingError, match=r"kernels that find ranges as they run.*'openvino'"):
        TARGETS["openvino"].write_dynamic(graph, DYNAMIC, (given,), Path())
    with pytest.raises(SettingError, match="needs a linear layer or an LSTM"):
        TARGETS["onnxruntime"].write_dynamic(graph, DYNAMIC, (given,), Path())
    grouped = msgspec.structs.replace(DYNAMIC, weights=msgspec.structs.replace(WEIGHTS, granularity="group"))
    with pytest.raises(SettingError, match="one scale a tensor or a channel"):
        TARGETS["onnxruntime"].write_dynamic(graph, grouped, (given,), Path())
    loops = recurrent(graph_of(Reader(nn.GRU), 6, 8)[0])
    assert loops == ("gru",)
    some = Profile("some", dynamic=("linear",))
    assert [word.partition(":")[2] for word in without_dynamic(Profile("none"), {"linear"}, ())] == [
        " none has no kernels that find ranges as they run."
    ]
    assert len(without_dynamic(some, {"conv"}, ())) == 2
    assert without_dynamic(some, {"linear"}, ()) == ()
    (told,) = without_dynamic(some, {"linear"}, loops)
    assert "gru stay in float" in told


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_whole_weights_compute_what_rounded_ones_do_and_take_a_quarter(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    target, (graph, given) = able(name), graph_of(Mixed(), 1, 8, 8)
    folders = [tmp_path / word for word in ("whole", "plain")]
    for folder, made in zip(folders, (whole_weights(graph, ALONE, (given[:2],)), graph), strict=True):
        folder.mkdir()
        target.write(made, (given[:2],), folder)
    whole, plain = (onnx.load(folder / "model.onnx") for folder in folders)
    rounded, _ = graph_of(Mixed(), 1, 8, 8)
    rounded.load_state_dict(graph.state_dict())
    round_weights(rounded, ALONE)
    torch.testing.assert_close(target.load(folders[0])(given), rounded(given), rtol=1e-4, atol=1e-5)
    held = [sum(len(one.raw_data) for one in model.graph.initializer) for model in (whole, plain)]
    assert 0.25 < held[0] / held[1] < 0.35
    assert not any(kernel.integer for kernel in target.load(folders[0]).kernels() if kernel.weighted)


def test_whole_weights_of_what_is_not_there_are_refused() -> None:
    graph, given = graph_of(Mixed(), 1, 8, 8)
    with pytest.raises(UnknownNameError, match="'inner'"):
        whole_weights(graph, msgspec.structs.replace(ALONE, layers={"iner": "fp32"}), (given,))
    nothing = msgspec.structs.replace(ALONE, layers=dict.fromkeys(("stem", "inner", "head"), "fp32"))
    with pytest.raises(SettingError, match="a layer with weights to quantize"):
        whole_weights(graph, nothing, (given,))
    grouped = msgspec.structs.replace(ALONE, weights=msgspec.structs.replace(WEIGHTS, granularity="group"))
    with pytest.raises(SettingError, match="by tensor or channel"):
        whole_weights(graph, grouped, (given,))


def test_both_are_steps_of_the_whole_way(subject: Subject, run_quickly, tmp_path: Path) -> None:
    able("onnxruntime")
    asked = Wishes(target="onnxruntime", calibrations=("minmax",), max_drop=0.1, training=False)
    found = run_quickly(subject, asked, Site(tmp_path))
    by_name = {one.name: one for one in found.candidates}
    dynamic, alone, plain = by_name["dynamic"], by_name["weights"], by_name["fp32"]
    assert (dynamic.state, alone.state) == ("finished", "finished")
    assert dynamic.integer_share == pytest.approx(1 / 3)  # the matrix, of two convolutions and a matrix
    assert alone.integer_share == 0
    assert alone.size_bytes is not None
    assert plain.size_bytes is not None
    assert alone.size_bytes < plain.size_bytes
    assert all(one.latency_s is not None and one.accuracy is not None for one in (dynamic, alone))
    assert any("leaves convolutions in float" in note for note in found.notes)
    assert any(note.startswith("Whole weights alone take") for note in found.notes)


def test_it_is_told_whether_whole_weights_gain_time() -> None:
    def of(name: str, kind: str, seconds: float, size: int) -> QuantizedCandidate:
        return QuantizedCandidate(name, Quantization(kind=kind), latency_s=seconds, size_bytes=size)  # type: ignore[arg-type]

    plain = of("fp32", "float", 2.0, 400)
    told = weights_word([plain, of("weights", "weight-only", 2.0, 100)])
    assert told == "Whole weights alone take 25% of the bytes of fp32; no kernel gains time by them."
    assert "50% of its time" in weights_word([plain, of("weights", "weight-only", 1.0, 100)])
    assert weights_word([plain]) == ""
