"""Measuring: turns are taken in order, numbers are exact, nothing of the process is left changed, rows survive."""

import contextlib
import math
import runpy
import shutil
import statistics
import sys
import types
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from modelwright.clock import ManualClock
from modelwright.errors import CapacityError, MeasurementError, RecordError, SettingError
from modelwright.networks.catalogue import architecture
from modelwright.networks.measuring import (
    Protocol,
    Setting,
    Subject,
    architecture_subject,
    measure,
    module_subject,
    resume,
)
from modelwright.networks.measuring.ambience import ambience
from modelwright.networks.measuring.prepare import call_of, prepare
from modelwright.networks.measuring.rounds import Run, Timing, calls_needed, interleave
from modelwright.networks.measuring.sheet import COLUMNS, measurement, read_sheet, row
from modelwright.networks.measuring.stopwatch import on_cuda, on_host
from modelwright.networks.measuring.subject import drawn
from modelwright.records import Device, Measurement

QUICK = Protocol(repetitions=2, warmup=1, minimum_s=1e-3)
MODULE = nn.Linear(4, 4)


class Tiny(nn.Module):
    """Some layers of one class, so that subjects differ while their code does not."""

    def __init__(self, layers: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(nn.Linear(8, 8) for _ in range(layers)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def tiny(layers: int = 1, **setting: object) -> Subject:
    return Subject(f"tiny-{layers}", lambda: Tiny(layers), (torch.empty(1, 8, device="meta"),), Setting(**setting))


def costing(seconds: float, clock: ManualClock) -> Run:
    return on_host(lambda: clock.advance(seconds), clock)


# --- the protocol -----------------------------------------------------------------------------------------------------


@given(cost=st.floats(1e-6, 1.0), minimum=st.floats(1e-4, 1.0))
def test_a_repetition_makes_just_as_many_calls_as_last_the_minimum(cost: float, minimum: float) -> None:
    calls = calls_needed(costing(cost, ManualClock()), minimum)
    assert calls * cost >= minimum * (1 - 1e-6)
    assert calls == 1 or (calls - 1) * cost < minimum * (1 + 1e-6)


def test_one_hiccup_does_not_decide_how_many_calls_are_made() -> None:
    hiccups = iter([0.5])
    assert calls_needed(lambda calls: next(hiccups, 0.001 * calls), 0.05) == 50


def test_subjects_take_turns() -> None:
    log: list[tuple[str, int]] = []

    def named(name: str, cost: float) -> Run:
        def run(calls: int) -> float:
            log.append((name, calls))
            return cost * calls

        return run

    runs = [named("A", 0.01), named("B", 0.02)]
    inner = [calls_needed(run, 0.1) for run in runs]
    log.clear()
    interleave(runs, Protocol(repetitions=2, warmup=1, minimum_s=0.1))
    turn = [("A", 1), ("A", inner[0]), ("B", 1), ("B", inner[1])]
    assert inner == [10, 5]
    assert log[-12:] == turn * 3


def test_warm_up_is_thrown_away_and_the_median_is_exact() -> None:
    seconds = iter([1.0, 1.0, 9.0, 9.0, 5.0, 1.0, 4.0, 2.0, 3.0])  # two to find the calls, two to warm up
    [timing] = interleave([lambda _: next(seconds)], Protocol(repetitions=5, warmup=2, minimum_s=0.5, settle=0))
    assert timing == Timing((5.0, 1.0, 4.0, 2.0, 3.0), inner=1)
    assert timing.median_s == 3.0
    assert timing.spread == pytest.approx((4 - 2) / 3)


@given(drift=st.floats(0.0, 0.05), subjects=st.integers(2, 5))
def test_a_machine_that_slows_down_slows_all_alike(drift: float, subjects: int) -> None:
    clock = ManualClock()
    runs = [on_host(lambda: clock.advance(0.01 * (1 + drift * clock.seconds())), clock) for _ in range(subjects)]
    medians = [timing.median_s for timing in interleave(runs, Protocol(repetitions=9, warmup=0, minimum_s=0.05))]
    a_round = subjects * 0.1 * (1 + drift * clock.seconds())
    assert max(medians) - min(medians) <= 0.01 * drift * a_round


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -1.0, 0.0])
def test_a_time_that_is_no_time_is_refused(seconds: float) -> None:
    answers = iter([1.0, 1.0])
    with pytest.raises(MeasurementError, match="positive, finite time"):
        interleave([lambda _: next(answers, seconds)], Protocol(settle=0))


def test_cuda_is_timed_by_its_own_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """From an idle device to the end of the last call, in seconds though events count milliseconds."""
    log: list[str] = []

    class Event:
        def __init__(self, *, enable_timing: bool) -> None:
            self.timing = enable_timing

        def record(self) -> None:
            log.append("mark")

        def synchronize(self) -> None:
            log.append("wait")

        def elapsed_time(self, end: "Event") -> float:
            return 250.0 if self.timing and end.timing else math.nan

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: log.append("idle"))
    monkeypatch.setattr(torch.cuda, "device", contextlib.nullcontext)
    assert on_cuda(lambda: log.append("call"), torch.device("cuda", 0))(2) == 0.25
    assert log == ["idle", "mark", "call", "call", "mark", "wait"]


def test_one_repetition_has_no_spread() -> None:
    assert Timing((2.0,), 1).spread == 0.0


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "way_out"),
    [
        (Setting(execution="engine"), "compiled or graph"),
        (Setting(execution="graph"), "compiled"),
        (Setting(precision="int8"), "bf16"),
        (Setting(precision="fp16"), "Take bf16"),
        (Setting(precision="tf32"), "Take fp32"),
        (Setting(precision="amp"), "Take amp-bf16"),
        (Setting(device="tpu"), "cannot be measured"),
        (Setting(batch=0), "at least 1"),
        (Setting(threads=-1), "0 takes"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_a_way_out(setting: Setting, way_out: str) -> None:
    with pytest.raises(SettingError, match=way_out):
        measure(Subject("tiny", Tiny, (), setting), QUICK)


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a CUDA device")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(SettingError, match="finds no CUDA device; use cpu"):
        measure(tiny(device="cuda:0"), QUICK)


def settings_of_the_process() -> tuple[object, ...]:
    backends = torch.backends
    switches = (backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv)
    precisions = tuple(switch.fp32_precision for switch in switches)
    return (*precisions, torch.get_float32_matmul_precision(), torch.get_num_threads(), torch.is_grad_enabled())


@pytest.fixture
def careless() -> object:
    """A process that lets fp32 products run in bf16."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision(before)
    torch.backends.mkldnn.matmul.fp32_precision = "none"


@pytest.mark.usefixtures("careless")
def test_fp32_is_fp32_whatever_the_process_chose_and_its_choice_comes_back() -> None:
    before = settings_of_the_process()
    with contextlib.suppress(KeyboardInterrupt), ambience(Setting(threads=1)):
        assert settings_of_the_process() == ("ieee", "none", "ieee", "ieee", "highest", 1, False)
        assert not torch.backends.cudnn.allow_tf32
        raise KeyboardInterrupt
    assert settings_of_the_process() == before


# --- real measurements ------------------------------------------------------------------------------------------------


def test_a_measurement_says_what_how_and_where() -> None:
    settings = ({}, {"precision": "bf16"}, {"precision": "amp-bf16", "batch": 3})
    subjects = [tiny(**setting, threads=1) for setting in settings]
    before, drawn_before = settings_of_the_process(), torch.get_rng_state()
    told: list[str] = []
    taken = measure(subjects, QUICK, commit="abc", report=told.append)
    assert [(found.architecture, found.precision, found.batch) for found in taken] == [
        ("tiny-1", "fp32", 1),
        ("tiny-1", "bf16", 1),
        ("tiny-1", "amp-bf16", 3),
    ]
    for found in taken:
        assert len(found.seconds) == QUICK.repetitions
        assert found.median_s == statistics.median(found.seconds) > 0
        assert found.throughput_per_s == found.batch / found.median_s
        assert (found.device.kind, found.device.threads, found.device.commit) == ("cpu", 1, "abc")
        assert found.device.versions["torch"] == torch.__version__
        assert found.device.versions["fp32 products"] == "ieee"
        assert found.device.name
        assert found.peak_memory_bytes is None
    assert settings_of_the_process() == before
    assert torch.equal(torch.get_rng_state(), drawn_before)
    assert told[0].startswith("prepare 1 of 3")
    assert told[-1] == "repetition 2 of 2"


def test_a_four_axis_input_lies_in_the_order_that_was_asked_for() -> None:
    seen: list[bool] = []

    class Looking(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous())
            return x

    for channels_last in (False, True):
        seen.clear()
        setting = Setting(batch=2, channels_last=channels_last)
        measure(Subject("looking", Looking, (torch.empty(1, 3, 4, 4, device="meta"),), setting), QUICK)
        assert set(seen) == {channels_last}


def test_inputs_follow_the_seed_and_stay_within_the_vocabulary() -> None:
    module = nn.Sequential(nn.Embedding(50, 4), nn.Embedding(7, 4))
    words, numbers = torch.empty(1, 16, dtype=torch.int64, device="meta"), torch.empty(1, 3, device="meta")
    torch.manual_seed(1)
    first = drawn((words, numbers, "as it is"), module, batch=4)
    torch.manual_seed(1)
    second = drawn((words, numbers, "as it is"), module, batch=4)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert first[0].shape == (4, 16)
    assert 0 <= first[0].min() <= first[0].max() < 7
    assert first[2] == "as it is"


def test_the_module_at_an_address_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "address_for_tests", types.SimpleNamespace(net=MODULE))
    measure(module_subject("address_for_tests:net", ["1x4"], Setting(precision="bf16")), QUICK)
    assert MODULE.weight.dtype == torch.float32
    assert MODULE.training


@pytest.mark.parametrize(
    ("address", "error", "words"),
    [
        ("math:pi", SettingError, "must lead to a module"),
        ("builtins:dict", SettingError, "must return a torch.nn.Module"),
        ("builtins:range", MeasurementError, "building must succeed"),
        ("math:tau", SettingError, "Name a torch.nn.Module"),
        ("math:nothing", RecordError, "must exist"),
    ],
)
def test_an_address_without_a_module_is_refused(address: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        measure(module_subject(address, ["1x4"], Setting()), QUICK)
    with pytest.raises(SettingError, match="Give --input"):
        module_subject(address, [], Setting())


def test_drawn_weights_keep_a_deep_network_in_the_range_of_fast_arithmetic() -> None:
    torch.manual_seed(0)
    network = architecture_subject(architecture("mobilenetv3-small"), Setting()).make()
    sizes: list[float] = []
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.momentum == 0.01
            part.register_forward_hook(lambda _part, _given, out: sizes.append(out.std().item()))
    assert not any(part.training for part in network.modules())
    with torch.inference_mode():
        network(torch.randn(1, 3, 224, 224))
    assert 0.05 < min(sizes) <= max(sizes) < 20


def test_work_that_does_not_fit_is_a_capacity_error() -> None:
    class Huge(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.empty(1 << 50)

    with pytest.raises(CapacityError, match=r"tiny.*batch 1 fp32 eager on cpu"):
        measure(Subject("tiny", Huge, (torch.empty(1, 8, device="meta"),), Setting()), QUICK)


def test_a_module_that_fails_is_named_with_its_own_words() -> None:
    subject = Subject("narrow", lambda: nn.Linear(3, 3), (torch.empty(1, 8, device="meta"),), Setting())
    with pytest.raises(MeasurementError, match=r"narrow.*cannot be multiplied"):
        measure(subject, QUICK)


# --- compiled ---------------------------------------------------------------------------------------------------------


def test_modules_of_one_class_are_all_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch gives up compiling a function that it had to compile too often; each module has a function of its own."""
    graphs: list[object] = []

    def backend(graph: torch.fx.GraphModule, _: Sequence[torch.Tensor]) -> object:
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    with torch._dynamo.config.patch(recompile_limit=1, fail_on_recompile_limit_hit=True):
        measure([tiny(layers, execution="compiled") for layers in (1, 2, 3)], QUICK)
    assert len(graphs) == 3


def result(**setting: object) -> torch.Tensor:
    subject = tiny(2, **setting)
    with ambience(subject.setting):
        torch.manual_seed(0)
        return call_of(subject, torch.device("cpu"))()


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler on a CPU")
def test_compiled_code_computes_the_same() -> None:
    torch.testing.assert_close(result(execution="compiled", batch=3), result(batch=3))


@pytest.mark.parametrize("precision", ["bf16", "amp-bf16"])
def test_a_narrow_precision_computes_nearly_the_same_in_fewer_bits(precision: str) -> None:
    narrow = result(precision=precision)
    assert narrow.dtype == torch.bfloat16
    torch.testing.assert_close(narrow.float(), result(), rtol=0.05, atol=0.05)


def test_without_a_compiler_the_way_out_is_eager() -> None:
    import torch._inductor.config as config

    lost = config.patch({"cpp.cxx": (None, "no-such-compiler")})  # what monkeypatch changes there stays hidden after it
    with lost, pytest.raises(MeasurementError, match=r"must compile.*Take eager"):
        measure(tiny(4, execution="compiled"), QUICK)


# --- CUDA, where there is one -----------------------------------------------------------------------------------------


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("execution", ["eager", "compiled", "graph"])
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16", "fp16", "amp"])
def test_a_cuda_device_is_measured_in_every_way(execution: str, precision: str) -> None:
    [found] = measure(tiny(3, device="cuda", execution=execution, precision=precision, batch=4), QUICK)
    assert found.device.kind == "cuda"
    assert found.device.name == torch.cuda.get_device_name()
    assert found.peak_memory_bytes is not None
    assert found.peak_memory_bytes > 0


GPU_SCRIPT = Path(__file__).parents[2] / "benchmarks" / "speed" / "gpu_efficientnets.py"


def test_the_efficientnets_are_measured_in_both_families_at_every_size_and_batch() -> None:
    script = runpy.run_path(str(GPU_SCRIPT))
    groups = list(script["groups"]("cuda:0", 7, script["BATCHES"], script["EXECUTIONS"]))
    settings = [
        (subject.name, subject.setting.batch, subject.setting.execution) for group in groups for subject in group
    ]
    assert len(settings) == len(set(settings)) == 2 * 8 * 3 * 3
    assert {(subject.setting.precision, subject.setting.channels_last) for group in groups for subject in group} == {
        ("bf16", True)
    }
    assert all(len({subject.setting.batch for subject in group}) == 1 for group in groups)


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a CUDA device")
def test_without_a_cuda_device_the_script_says_so_and_measures_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(GPU_SCRIPT)])
    assert runpy.run_path(str(GPU_SCRIPT))["main"]() == 2
    assert capsys.readouterr().err.count("\n") == 1


# --- a sheet of rows --------------------------------------------------------------------------------------------------

PLAIN = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=20)
SECONDS = st.floats(1e-9, 1e3)
DEVICES = st.builds(Device, st.sampled_from(["cpu", "cuda"]), PLAIN, st.integers(1, 99), st.dictionaries(PLAIN, PLAIN))


@given(device=DEVICES, seconds=st.lists(SECONDS, min_size=1, max_size=9), memory=st.none() | st.integers(0))
def test_a_row_holds_its_measurement(device: Device, seconds: list[float], memory: int | None) -> None:
    timing, subject = Timing(tuple(seconds), 3), tiny(2, batch=4, channels_last=True, precision="bf16")
    taken = Measurement(
        *(subject.name, 4, "bf16", "eager", True, timing.seconds, timing.median_s, timing.spread, 1, 3, "now", device),
        peak_memory_bytes=memory,
    )
    back = measurement(row(subject, taken))
    assert back.seconds == pytest.approx(taken.seconds, rel=1e-5)
    assert back.median_s == pytest.approx(taken.median_s, rel=1e-5)
    plain = {"seconds": (), "median_s": 0.0, "spread": 0.0}
    assert msgspec.structs.replace(back, **plain) == msgspec.structs.replace(taken, **plain)


def taking(log: list[str]) -> object:
    """Measures nothing, quickly; writes down what it was asked."""

    def take(subjects: Sequence[Subject]) -> Sequence[Measurement]:
        log.extend(f"{subject.name}/{subject.setting.batch}" for subject in subjects)
        return measure(subjects, Protocol(repetitions=1, warmup=0, minimum_s=1e-6, settle=0))

    return take


def test_a_run_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    path, log = tmp_path / "rows.csv", []
    groups = [[tiny(1), tiny(2)], [tiny(1, batch=2)]]

    def interrupted(subjects: Sequence[Subject]) -> Sequence[Measurement]:
        if subjects[0].setting.batch == 2:
            raise KeyboardInterrupt
        return taking(log)(subjects)

    with pytest.raises(KeyboardInterrupt):
        resume(groups, interrupted, path)
    assert len(read_sheet(path)) == 2
    taken, held = resume(groups, taking(log), path)
    assert log == ["tiny-1/1", "tiny-2/1", "tiny-1/2"]
    assert held == 2
    assert [(found.architecture, found.batch) for found in taken] == [("tiny-1", 1), ("tiny-2", 1), ("tiny-1", 2)]
    assert list(tmp_path.iterdir()) == [path]


def test_again_replaces_rows_and_adds_none(tmp_path: Path) -> None:
    path, log = tmp_path / "rows.csv", []
    resume([[tiny(1)], [tiny(2)]], taking(log), path)
    before = path.read_text()
    _, held = resume([[tiny(1)]], taking(log), path, again=True)
    assert held == 0
    assert log == ["tiny-1/1", "tiny-2/1", "tiny-1/1"]
    assert path.read_text().splitlines()[2] == before.splitlines()[2]
    assert len(read_sheet(path)) == 2


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", ",".join(COLUMNS) + "\n1,2\n", "\N{REPLACEMENT CHARACTER}"], ids=repr
)
def test_a_file_of_something_else_is_left_alone(text: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(RecordError, match="columns"):
        resume([[tiny()]], taking([]), path)
    assert path.read_text() == text


def test_a_row_that_lost_its_numbers_is_named() -> None:
    found = dict.fromkeys(COLUMNS, "") | {"architecture": "tiny", "seconds": "1 fast"}
    with pytest.raises(RecordError, match="row tiny"):
        measurement(found)


def test_preparing_uses_the_threads_that_were_asked_for() -> None:
    assert prepare(tiny(threads=1), 0, ManualClock()).threads == 1
