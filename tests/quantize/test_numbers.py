"""What a search asks of quantization: networks judged as they would be converted, and timed as they would run."""

import pytest
import torch
from torch import nn

from modelwright.clock import SystemClock
from modelwright.errors import MeasurementError, SettingError
from modelwright.networks.measuring import Protocol
from modelwright.quantize import NUMBERS, TARGETS
from modelwright.quantize import numbers as module
from modelwright.quantize.graph import capture
from modelwright.quantize.numbers import Numbers, openvino
from modelwright.quantize.numerics import sqnr_db
from modelwright.quantize.prepare import calibrate, convert, prepare
from modelwright.quantize.targets.openvino import PROFILE
from modelwright.records import Architecture, ConvStem, MBConv, PoolHead, Stage
from modelwright.registry import load

TINY = Architecture("tiny", (1, 8, 8), 4, ConvStem((8,)), (Stage(MBConv(8, 16, 8)),), PoolHead(channels=8))


@pytest.fixture(autouse=True)
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROTOCOL", Protocol(repetitions=3, warmup=1, minimum_s=1e-3))


def able() -> None:
    try:
        openvino.check(("fp32", "int8"), timed=True)
    except SettingError as failure:
        pytest.skip(str(failure))


def test_each_row_leads_to_what_its_name_says() -> None:
    for name, address in NUMBERS.items():
        assert load(address) == Numbers(name)
        assert name in TARGETS


def test_a_network_is_judged_as_it_rounds_when_it_is_converted(learned: nn.Module) -> None:
    samples = torch.randn(64, 1, 8, 8)
    simulated = openvino.simulate(learned, "int8", samples)
    recipe = openvino.recipe("int8")
    prepared = prepare(capture(learned, (samples[:2],)), recipe, PROFILE)
    calibrate(prepared, [(part,) for part in torch.split(samples, 32)])
    with torch.no_grad():
        wanted, got, plain = convert(prepared)(samples), simulated(samples), learned(samples)
    assert sqnr_db(wanted, got) > 45
    assert 15 < sqnr_db(plain, got) < 45  # what is lost is that of eight bits, not nothing
    assert simulated.train().eval() is simulated


def test_each_precision_is_timed_by_the_target_in_its_own_numbers() -> None:
    able()
    wanted = [(TINY, "fp32"), (TINY, "int8")]
    rows = openvino.measure(wanted, batch=2, threads=1, clock=SystemClock(), commit="abc")
    assert [(row.architecture, row.precision) for row in rows] == [("tiny", "fp32"), ("tiny", "int8")]
    for row in rows:
        assert (row.batch, row.execution, row.device.versions["runtime"]) == (2, "engine", "openvino")
        assert row.median_s > 0
        assert len(row.seconds) == 3


def test_floats_are_written_once_for_all_that_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    able()
    written = []
    write = type(openvino._target).write
    monkeypatch.setattr(
        type(openvino._target), "write", lambda *given, **named: written.append(1) or write(*given, **named)
    )
    openvino.measure([(TINY, "fp32"), (TINY, "fp32")], batch=1, threads=1, clock=SystemClock(), commit="")
    assert len(written) == 1


def test_what_falls_back_to_floats_is_not_timed_as_whole_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    able()
    monkeypatch.setattr(module, "convert", lambda prepared: capture(Plain(), (torch.randn(2, 1, 8, 8),)))
    with pytest.raises(MeasurementError, match="whole numbers, not fall back to floats"):
        openvino.measure([(TINY, "int8")], batch=1, threads=1, clock=SystemClock(), commit="")


class Plain(nn.Module):
    """A network that nobody quantized."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 4)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.head(pixels.flatten(1))
        return made


def test_floats_that_a_target_does_not_have_are_refused_where_time_counts() -> None:
    able()
    numbers = Numbers("onnxruntime")
    numbers.check(("fp32", "bf16", "int8"), timed=False)
    with pytest.raises(SettingError, match="able to compute in the floats"):
        numbers.check(("fp32", "bf16"), timed=True)
