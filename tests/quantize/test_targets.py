"""Targets: what they write runs as the graph does, in whole numbers, and in the floats that were asked for."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import onnx
import pytest
import torch
from torch import fx, nn

from modelwright.errors import ExportError, RecordError, SettingError
from modelwright.quantize import TARGETS
from modelwright.quantize.graph import capture
from modelwright.quantize.prepare import calibrate, convert, prepare
from modelwright.quantize.profile import Profile
from modelwright.quantize.targets.onnxruntime import OnnxRuntime
from modelwright.quantize.targets.openvino import OpenVino
from modelwright.quantize.targets.target import Program, Target, check_processor, integer_share
from modelwright.quantize.targets.tensorrt import TensorRT
from modelwright.records import Kernel, Quantization, Scheme
from modelwright.registry import load

SmallDisk = Callable[[Path, str], AbstractContextManager[Path]]
ONNX = [OnnxRuntime(), OpenVino()]


class Network(nn.Module):
    """A convolution, a depthwise one, SiLU, an addition, pooling and a matrix; it takes images as they are stored."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.deep = nn.Conv2d(8, 8, 3, 1, 1, groups=8)
        self.last = nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(8, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.first(image.float() / 255 - 0.5)))
        x = torch.relu(x + self.last(nn.functional.silu(self.deep(x))))
        logits: torch.Tensor = self.head(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


def images(count: int) -> torch.Tensor:
    made = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8, generator=made)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        made = Network().eval()
        made.norm.running_var.fill_(0.1)  # as after training: numbers near one
    return made.requires_grad_(False)


def quantized(network: nn.Module, profile: Profile, recipe: Quantization | None = None) -> fx.GraphModule:
    activations = profile.activations
    chosen = recipe or Quantization(calibration="minmax", activations=activations)
    prepared = prepare(capture(network, (images(4),)), chosen, profile)
    calibrate(prepared, [(images(16),)])
    return convert(prepared)


def decibels(truth: torch.Tensor, made: torch.Tensor) -> float:
    noise = (truth - made).double().square().sum()
    return float(10 * torch.log10(truth.double().square().sum() / noise)) if noise else float("inf")


@pytest.fixture(scope="module", params=ONNX, ids=lambda target: target.profile.name)
def target(request: pytest.FixtureRequest) -> Target:
    made: Target = request.param
    try:
        made.check()
    except SettingError as failure:
        pytest.skip(str(failure))
    return made


@pytest.fixture(scope="module")
def graph(target: Target, network: nn.Module) -> fx.GraphModule:
    return quantized(network, target.profile)


@pytest.fixture(scope="module")
def folder(target: Target, graph: fx.GraphModule, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp(target.profile.name)
    target.write(graph, (images(1),), made)
    return made


def test_every_registered_target_is_one_and_bears_its_name() -> None:
    for name, address in TARGETS.items():
        made = load(address)()
        assert isinstance(made, Target)
        assert made.profile.name == name


def test_a_program_computes_what_the_graph_simulates(target: Target, graph: fx.GraphModule, folder: Path) -> None:
    program = target.load(folder)
    assert decibels(graph(images(9)), program(images(9))) > 40


def test_all_its_convolutions_and_products_run_in_whole_numbers(target: Target, folder: Path) -> None:
    kernels = target.load(folder).kernels()
    assert sum(kernel.weighted for kernel in kernels) == 4
    assert integer_share(kernels) == 1
    assert {kernel.numbers for kernel in kernels if kernel.weighted} == {"u8"}


def test_a_layer_left_in_float_is_seen(target: Target, network: nn.Module, tmp_path: Path) -> None:
    recipe = Quantization(calibration="minmax", layers={"last": "fp32"})
    target.write(quantized(network, target.profile, recipe), (images(2),), tmp_path)
    kernels = target.load(tmp_path).kernels()
    assert integer_share(kernels) == 3 / 4
    assert [kernel.numbers for kernel in kernels if kernel.weighted and not kernel.integer] == ["f32"]


def test_a_float_program_has_no_integer_kernel_and_gives_the_networks_own_numbers(
    target: Target, network: nn.Module, tmp_path: Path
) -> None:
    target.write(capture(network, (images(2),)), (images(2),), tmp_path)
    program = target.load(tmp_path)
    assert integer_share(program.kernels()) == 0
    assert decibels(network(images(5)), program(images(5))) > 100


def test_any_number_of_samples_goes_through_one_file(target: Target, graph: fx.GraphModule, folder: Path) -> None:
    free, fixed = target.load(folder), target.load(folder, batch=4)
    for count in (1, 3, 4, 9):
        truth = graph(images(count))
        assert free(images(count)).shape == truth.shape == fixed(images(count)).shape
        assert decibels(truth, free(images(count))) > 40
        assert torch.equal(free(images(count)), fixed(images(count)))


def test_the_artifact_is_a_quarter_of_the_float_one_in_weights(target: Target, tmp_path: Path) -> None:
    wide = nn.Sequential(nn.Flatten(), nn.Linear(768, 256), nn.ReLU(), nn.Linear(256, 256)).eval().requires_grad_(False)
    given = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    prepared = prepare(capture(wide, (given,)), Quantization(calibration="minmax"), target.profile)
    calibrate(prepared, [(given,)])
    sizes = []
    for name, graph in (("float", capture(wide, (given,))), ("whole", convert(prepared))):
        (tmp_path / name).mkdir()
        target.write(graph, (given,), tmp_path / name)
        sizes.append(target.load(tmp_path / name).size_bytes)
    assert sizes[0] / sizes[1] == pytest.approx(4, rel=0.1)


def test_names_in_the_file_are_the_graphs_own_and_nothing_tells_where_it_was_made(
    folder: Path,
) -> None:
    model = onnx.load(folder / "model.onnx")
    assert [given.name for given in model.graph.input] == ["image"]
    assert [made.name for made in model.graph.output] == ["logits"]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    source = Path(inspect.getfile(Network))
    for word in (source.name, str(source.parent), "site-packages", "stack_trace"):
        assert word.encode() not in (folder / "model.onnx").read_bytes()


def test_floats_are_those_that_were_asked_for(network: nn.Module, tmp_path: Path) -> None:
    """OpenVINO takes bf16 of its own accord where the processor has it; its program does so only when asked."""
    target = OpenVino()
    try:
        target.check()
        target.write(capture(network, (images(2),)), (images(2),), tmp_path)
        half = target.load(tmp_path, floats="bf16")
    except SettingError as failure:
        pytest.skip(str(failure))
    whole = target.load(tmp_path)
    assert {kernel.numbers for kernel in whole.kernels() if kernel.weighted} == {"f32"}
    assert {kernel.numbers for kernel in half.kernels() if kernel.weighted} == {"bf16"}
    truth = network(images(5))
    assert decibels(truth, whole(images(5))) > 100 > decibels(truth, half(images(5)))


def test_floats_that_a_target_cannot_compute_in_are_refused(network: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"onnxruntime must be able to compute in the floats.*'bf16'.*Take fp32"):
        OnnxRuntime().write(capture(network, (images(2),)), (images(2),), tmp_path, floats="bf16")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"nothing", None], ids=["empty", "nonsense", "cut"])
def test_a_broken_artifact_is_one_clear_error(
    target: Target, folder: Path, tmp_path: Path, damage: bytes | None
) -> None:
    file = tmp_path / "model.onnx"
    whole = (folder / "model.onnx").read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    with pytest.raises(RecordError, match=r"model\.onnx: the artifact must be one that its runtime can read"):
        target.load(tmp_path)
    file.unlink()
    with pytest.raises(RecordError, match="the folder must hold the artifact"):
        target.load(tmp_path)


def test_a_full_disk_leaves_nothing(
    target: Target, graph: fx.GraphModule, tmp_path: Path, small_disk: SmallDisk
) -> None:
    with small_disk(tmp_path / "disk", "16k") as disk:
        (disk / "filler").write_bytes(bytes(12 * 1024))
        with pytest.raises(OSError, match="No space"):
            target.write(graph, (images(2),), disk)
        assert [file.name for file in disk.iterdir()] == ["filler"]


def test_a_missing_runtime_is_told_with_the_way_to_get_it() -> None:
    code = (
        "import sys, importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'openvino' else find(name, *rest)\n"
        "from modelwright.quantize.targets.openvino import OpenVino\n"
        "OpenVino().check()\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "SettingError" in run.stderr
    assert "pip install 'modelwright[openvino]'" in run.stderr


def test_a_processor_without_integer_units_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": "Old", "avx2": True, "avx512_vnni": False})
    with pytest.raises(SettingError, match=r"avx512_vnni.*'Old'"):
        check_processor()


def test_the_share_of_whole_numbers_counts_weighted_operators_alone() -> None:
    def kernel(weighted: bool, integer: bool) -> Kernel:
        return Kernel("k", "Operator", "u8" if integer else "f32", weighted, integer)

    assert integer_share([kernel(True, True), kernel(True, False), kernel(False, True)]) == 0.5
    assert integer_share([kernel(False, True)]) == 0


class Halves(Program):
    """Takes two samples a call, and remembers them."""

    def __init__(self) -> None:
        self.batch, self.size_bytes, self.seen = 2, 0, 0

    def run(self, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        assert len(inputs[0]) == 2
        self.seen += 1
        return inputs[0] * 2

    def kernels(self) -> tuple[Kernel, ...]:
        return ()


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_a_fixed_batch_takes_any_number_of_samples(count: int) -> None:
    program = Halves()
    given = torch.arange(count * 3.0).reshape(count, 3)
    assert torch.equal(program(given), given * 2)
    assert program.seen == (count + 1) // 2


def test_tensorrt_gets_symmetric_whole_numbers_that_onnx_runtime_agrees_with(
    network: nn.Module, tmp_path: Path
) -> None:
    target = TensorRT()
    graph = quantized(network, target.profile)
    [file] = target.write(graph, (images(2),), tmp_path)
    model = onnx.load(file)
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    pairs = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    zeros = [constants[node.input[2]] for node in pairs if len(node.input) > 2]
    assert all(zero.dtype.name == "int8" and not zero.any() for zero in zeros)
    assert sum(constants[node.input[1]].size > 1 for node in pairs) == 4
    assert model.opset_import[0].version >= 13
    again = OnnxRuntime().load(tmp_path)
    assert decibels(graph(images(5)), again(images(5))) > 40


def test_tensorrt_refuses_what_its_rules_forbid_and_never_runs(network: nn.Module, tmp_path: Path) -> None:
    affine = quantized(network, OpenVino().profile)
    with pytest.raises(ExportError, match=r"zero point of 0 only.*uint8"):
        TensorRT().write(affine, (images(2),), tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SettingError, match=r"not run here\. .*trtexec"):
        TensorRT().load(tmp_path)


def test_a_graph_with_an_operator_that_onnx_lacks_is_refused_by_name(tmp_path: Path) -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.special.bessel_j0(x)

    graph = capture(Odd(), (torch.randn(2, 3),))
    with pytest.raises(ExportError, match=r"writable as ONNX.*bessel_j0"):
        OnnxRuntime().write(graph, (torch.randn(2, 3),), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_tensorrts_activations_are_signed_and_symmetric() -> None:
    assert TensorRT().profile.activations == Scheme(signed=True, symmetric=True)


def test_an_interrupt_is_heard_after_programs_of_openvino_have_come_and_gone(
    network: nn.Module, tmp_path: Path
) -> None:
    """Its cores replace the thread's stack for signals, and leave a freed one where several of them end."""
    OpenVino().write(capture(network, (images(2),)), (images(2),), tmp_path)
    script = f"""
import faulthandler, signal
from pathlib import Path
import torch
from modelwright.quantize.targets.openvino import OpenVino
faulthandler.enable()
first, second = (OpenVino().load(Path({str(tmp_path)!r})) for _ in range(2))
images = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
first(images), second(images)
del first, second
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("heard")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
