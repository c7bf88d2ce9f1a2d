"""torch's compiler as a target; one tiny network, as compiling takes its time."""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from torch import fx, nn

from modelwright.errors import RecordError, SettingError
from modelwright.quantize.graph import capture
from modelwright.quantize.prepare import calibrate, convert, prepare
from modelwright.quantize.targets.inductor import FILE, Inductor, InductorProgram
from modelwright.quantize.targets.target import integer_share
from modelwright.records import Quantization

TARGET = Inductor()


def images(count: int) -> torch.Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(count))


@pytest.fixture(scope="module")
def graph() -> fx.GraphModule:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(8, 4))
    network.eval().requires_grad_(False)
    recipe = Quantization(calibration="minmax", layers={"2": "fp32"})
    prepared = prepare(capture(network, (images(2),)), recipe, TARGET.profile)
    calibrate(prepared, [(images(16),)])
    return convert(prepared)


@pytest.fixture(scope="module")
def folder(graph: fx.GraphModule, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("inductor")
    assert TARGET.write(graph, (images(1),), made) == (made / FILE,)
    return made


@pytest.fixture(scope="module")
def program(folder: Path) -> InductorProgram:
    try:
        TARGET.check()
    except SettingError as failure:
        pytest.skip(str(failure))
    return TARGET.load(folder, batch=2)


def test_it_computes_what_the_graph_simulates_for_any_number_of_samples(
    graph: fx.GraphModule, program: InductorProgram
) -> None:
    for count in (1, 2, 5):
        truth = graph(images(count))
        noise = (program(images(count)) - truth).square().sum()
        assert 10 * torch.log10(truth.square().sum() / noise) > 40


def test_its_generated_code_tells_which_layers_run_in_whole_numbers(program: InductorProgram) -> None:
    weighted = [kernel for kernel in program.kernels() if kernel.weighted]
    assert [kernel.integer for kernel in weighted] == [True, False, True]
    assert integer_share(weighted) == pytest.approx(2 / 3)
    assert weighted[0].operator == "onednn.qconv_pointwise"


def test_what_was_compiled_is_used_again_wherever_it_is_called_from(program: InductorProgram) -> None:
    """Compiled anew outside the setting of its first call, it would lose its integer kernels without a word."""
    program(images(2))
    with torch._dynamo.config.patch(error_on_recompile=True):
        threads = torch.get_num_threads()
        torch.set_num_threads(2)
        try:
            plain = program(images(2))
            assert torch.get_num_threads() == 2
        finally:
            torch.set_num_threads(threads)
        with torch.inference_mode():
            assert torch.equal(program(images(2)), plain)
            assert torch.equal(program(images(2).to(memory_format=torch.channels_last)), plain)


def test_a_file_loads_where_nothing_of_torchao_was_imported_before(folder: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "import sys\n"
        "from modelwright.quantize.targets.inductor import Inductor\n"
        "assert 'torchao' not in sys.modules\n"
        f"Inductor().load(Path({str(folder)!r}))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_nothing_in_the_file_tells_where_it_was_made(folder: Path) -> None:
    with zipfile.ZipFile(folder / FILE) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
    words = (Path(__file__).name, str(Path(__file__).parent), "site-packages")
    assert [word for word in words if word.encode() in content] == []


def test_a_broken_file_is_one_clear_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes((folder / FILE).read_bytes()[:1000])
    with pytest.raises(RecordError, match=r"model\.pt2: the artifact must be one that its runtime can read"):
        TARGET.load(tmp_path)


def test_a_full_disk_leaves_nothing(
    graph: fx.GraphModule, tmp_path: Path, small_disk: Callable[[Path, str], AbstractContextManager[Path]]
) -> None:
    with small_disk(tmp_path / "disk", "16k") as disk:
        with pytest.raises(OSError, match="No space"):
            TARGET.write(graph, (images(2),), disk)
        assert list(disk.iterdir()) == []


def test_a_missing_compiler_is_told_before_anything_is_done() -> None:
    torch._inductor.cpp_builder.cpp_compiler_search.cache_clear()
    try:
        lost = torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)})
        with lost, pytest.raises(SettingError, match=r"inductor needs a C\+\+ compiler.*Install g\+\+"):
            TARGET.check()
    finally:
        torch._inductor.cpp_builder.cpp_compiler_search.cache_clear()
