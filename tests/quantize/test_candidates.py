"""Candidates: made whole or not at all, taken up where they are one's own, and failing by themselves."""

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
import pytest
import torch
from torch import fx, nn

from modelwright.clock import ManualClock
from modelwright.errors import SettingError
from modelwright.quantize.candidates import FILE, Workshop, fallback, left_in_float
from modelwright.quantize.graph import capture
from modelwright.quantize.judging import Judge, Samples
from modelwright.quantize.prepare import calibrate, convert, prepare
from modelwright.quantize.targets.onnxruntime import PROFILE as ONNXRUNTIME
from modelwright.quantize.targets.onnxruntime import OnnxRuntime
from modelwright.quantize.targets.openvino import PROFILE as OPENVINO
from modelwright.records import Kernel, Quantization

SmallDisk = Callable[[Path, str], AbstractContextManager[Path]]
PIXELS = torch.randn(24, 1, 8, 8, generator=torch.Generator().manual_seed(0))
RECIPE = Quantization(calibration="minmax")
TARGET = OnnxRuntime()


@pytest.fixture(scope="module")
def graph(learned: nn.Module) -> fx.GraphModule:
    return capture(learned, (PIXELS[:2],))


@pytest.fixture
def shop(graph: fx.GraphModule, tmp_path: Path) -> Workshop:
    judge = Judge.of(graph, Samples(PIXELS, graph(PIXELS).argmax(-1)))
    return Workshop(TARGET, tmp_path / "candidates", graph, (PIXELS[:2],), judge, ManualClock(), origin="mine")


def whole(graph: fx.GraphModule, recipe: Quantization = RECIPE) -> fx.GraphModule:
    prepared = prepare(graph, recipe, TARGET.profile)
    calibrate(prepared, [(PIXELS,)])
    return convert(prepared)


def test_a_candidate_is_judged_by_its_artifact_and_held_afterwards(shop: Workshop, graph: fx.GraphModule) -> None:
    made = shop.make("int8", RECIPE, lambda: whole(graph))
    told = made.candidate
    assert (told.state, told.integer_share, told.notes) == ("finished", 1.0, ())
    assert told.sqnr_db is not None
    assert 15 < told.sqnr_db < 60
    assert told.size_bytes == (shop.folder / "int8" / "model.onnx").stat().st_size
    assert shop.held("int8", RECIPE) == made
    assert torch.allclose(shop.load(told)(PIXELS), whole(graph)(PIXELS), atol=0.2)


def test_what_making_it_had_to_tell_is_told_again_when_it_is_taken_up(shop: Workshop, graph: fx.GraphModule) -> None:
    notes: list[str] = []

    def learned() -> fx.GraphModule:
        notes.append("2 epochs, 90% right.")
        return whole(graph)

    shop.make("int8", RECIPE, learned, lambda: notes)
    held = shop.held("int8", RECIPE)
    assert held is not None
    assert held.told == ("2 epochs, 90% right.",)


def test_only_ones_own_candidates_are_taken_up(shop: Workshop, graph: fx.GraphModule) -> None:
    """Not those of another recipe, nor of another network, target or data, nor what is damaged."""
    assert shop.held("int8", RECIPE) is None
    shop.make("int8", RECIPE, lambda: whole(graph))
    assert shop.held("int8", msgspec.structs.replace(RECIPE, calibration="mse")) is None
    assert dataclasses.replace(shop, origin="another's").held("int8", RECIPE) is None
    file = shop.folder / "int8" / "model.onnx"
    content = file.read_bytes()
    for damage in (content[:-1], content[:100] + b"?" + content[101:]):
        file.write_bytes(damage)
        assert shop.held("int8", RECIPE) is None
    file.unlink()
    assert shop.held("int8", RECIPE) is None
    (shop.folder / "int8" / FILE).write_bytes(b"{")
    assert shop.held("int8", RECIPE) is None
    assert shop.make("int8", RECIPE, lambda: whole(graph)).candidate.state == "finished"
    assert shop.held("int8", RECIPE) is not None


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (SettingError("ranges must be found", where="here"), "here: ranges must be found."),
        (RuntimeError("shapes do not match\nand more"), "int8: .*RuntimeError: shapes do not match"),
        (AssertionError(), "AssertionError"),
    ],
)
def test_a_graph_that_fails_is_a_failed_candidate(shop: Workshop, failure: Exception, words: str) -> None:
    def fails() -> fx.GraphModule:
        raise failure

    made = shop.make("int8", RECIPE, fails).candidate
    assert made.state == "failed"
    with pytest.raises(ValueError, match=words):
        raise ValueError(made.reason)
    assert not shop.folder.exists() or list(shop.folder.iterdir()) == []


def test_a_network_that_cannot_be_written_leaves_nothing_and_an_earlier_candidate_stays(
    shop: Workshop, graph: fx.GraphModule
) -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.special.bessel_j0(x).flatten(1)

    shop.make("int8", RECIPE, lambda: whole(graph))
    made = shop.make("int8", RECIPE, lambda: capture(Odd(), (PIXELS[:2],))).candidate
    assert made.state == "failed"
    assert "bessel_j0" in made.reason
    assert [file.name for file in shop.folder.iterdir()] == ["int8"]
    assert shop.held("int8", RECIPE) is not None


def test_what_falls_back_to_float_fails_unless_that_is_allowed(shop: Workshop, graph: fx.GraphModule) -> None:
    """The graph has a layer in float that the recipe wants in whole numbers, as a runtime might leave one."""

    def partly() -> fx.GraphModule:
        return whole(graph, msgspec.structs.replace(RECIPE, layers={"inner": "fp32"}))

    made = shop.make("int8", RECIPE, partly).candidate
    assert made.state == "failed"
    assert "1 convolutions and products run in float, 0 were to: conv2d_1" in made.reason
    lenient = dataclasses.replace(shop, allow_float=True)
    made = lenient.make("int8", RECIPE, partly).candidate
    assert made.state == "finished"
    assert made.integer_share == pytest.approx(2 / 3)
    assert "run in float, 0 were to" in made.notes[0]
    assert lenient.held("int8", RECIPE) is not None
    assert shop.held("int8", RECIPE) is None
    wanted = msgspec.structs.replace(RECIPE, layers={"inner": "fp32"})
    mix = shop.make("mix", wanted, partly).candidate
    assert mix.state == "finished"
    assert mix.integer_share == pytest.approx(2 / 3)  # a runtime that quantizes of its own accord would run it all so


def test_what_a_target_has_no_kernels_for_is_no_fallback() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.line = nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.line(x)
            x = nn.functional.scaled_dot_product_attention(x, x, x)
            return (x @ x.transpose(2, 3)).flatten(2).sum(1)

    graph = capture(Attention().eval(), (PIXELS[:2],))
    assert left_in_float(graph, RECIPE, OPENVINO) == 3  # two products within the attention, and the one after it
    assert left_in_float(graph, RECIPE, ONNXRUNTIME) == 2
    assert left_in_float(graph, msgspec.structs.replace(RECIPE, layers={"line": "fp32"}), OPENVINO) == 4
    assert left_in_float(graph, Quantization(kind="float"), OPENVINO) == 4


def test_a_word_on_fallback_names_five_at_most() -> None:
    kernels = [Kernel(f"k{number}", "Conv", "f32", True, False) for number in range(7)]
    kernels += [Kernel("relu", "Relu", "f32", False, False), Kernel("whole", "QLinearConv", "u8", True, True)]
    assert fallback(kernels, 7) == ""
    assert fallback(kernels, 2) == "7 convolutions and products run in float, 2 were to: k0, k1, k2, k3, k4, ..."


def test_a_full_disk_is_no_candidates_fault_and_leaves_nothing(
    shop: Workshop, graph: fx.GraphModule, tmp_path: Path, small_disk: SmallDisk
) -> None:
    with small_disk(tmp_path / "disk", "24k") as disk:
        (disk / "filler").write_bytes(bytes(16 * 1024))
        with pytest.raises(OSError, match="No space"):
            dataclasses.replace(shop, folder=disk / "candidates").make("int8", RECIPE, lambda: whole(graph))
        assert [file.name for file in disk.rglob("*") if file.is_file()] == ["filler"]


def test_what_is_killed_in_the_middle_is_no_candidate_and_is_cleared_away(
    shop: Workshop, graph: fx.GraphModule
) -> None:
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom modelwright.store import whole_folder\n"
        "with whole_folder(Path(sys.argv[1]), []) as part:\n"
        "    (part / 'model.onnx').write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(shop.folder / "int8")], env=dict(os.environ))
    assert run.returncode == -signal.SIGKILL
    assert not (shop.folder / "int8").exists()
    assert shop.held("int8", RECIPE) is None
    shop.make("int8", RECIPE, lambda: whole(graph))
    assert [file.name for file in shop.folder.iterdir()] == ["int8"]
