"""What a user's own session of ONNX Runtime does to layers that were left in float, as the guide says."""

import re
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from modelwright.quantize.graph import capture
from modelwright.quantize.prepare import calibrate, convert, prepare
from modelwright.quantize.targets.onnxruntime import PROFILE, OnnxRuntime
from modelwright.records import Quantization

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "quantize.md"


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three convolutions, of which the one between was left in float."""
    folder = tmp_path_factory.mktemp("quantized") / "quantized" / "artifact"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    network = nn.Sequential(*(nn.Conv2d(4, 4, 3) for _ in range(3)), nn.Flatten()).eval()
    given = torch.randn(2, 4, 10, 10)
    graph = capture(network, (given,))
    prepared = prepare(graph, Quantization(layers={"1": "fp32"}), PROFILE)
    calibrate(prepared, [(given,)])
    OnnxRuntime().write(convert(prepared), (given,), folder)
    return folder


def optimized(artifact: Path, place: Path, **options: object) -> list[str]:
    setting = onnxruntime.SessionOptions()
    setting.optimized_model_filepath = str(place / "optimized.onnx")
    setting.log_severity_level = 4
    onnxruntime.InferenceSession(artifact / "model.onnx", setting, providers=["CPUExecutionProvider"], **options)
    return [node.op_type for node in onnx.load(place / "optimized.onnx").graph.node if "Conv" in node.op_type]


def test_a_default_session_quantizes_what_was_left_in_float(artifact: Path, tmp_path: Path) -> None:
    assert optimized(artifact, tmp_path).count("QLinearConv") == 3
    kept = optimized(artifact, tmp_path, disabled_optimizers=["WeightBiasQuantization"])
    assert kept.count("QLinearConv") == 2


def test_the_session_of_the_guide_keeps_it(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(artifact.parents[1])
    (block,) = re.findall(r"```py\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(block, "quantize.md", "exec"), names)
    given = torch.randn(2, 4, 10, 10)
    [made] = names["session"].run(None, {"input_1": given.numpy()})  # type: ignore[attr-defined]
    torch.testing.assert_close(torch.from_numpy(made), OnnxRuntime().load(artifact)(given))
