"""What is handed over is the network: in every format, on real images, with a card that says what the records say."""

import os
import re
import resource
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from torch import nn

from modelwright.clock import ManualClock
from modelwright.errors import ExportError, RecordError, SettingError, ShapeError
from modelwright.networks.build import build
from modelwright.records import (
    Architecture,
    Choice,
    DataCard,
    Device,
    Learning,
    Measurement,
    Member,
    Objective,
    PatchStem,
    Plan,
    Recipe,
    Space,
    Stage,
    TokenHead,
    TokenStem,
    Transformer,
    from_json,
    to_json,
)
from modelwright.search.handover import Context, hand_over, load_member, verify
from modelwright.search.handover.check import TOLERANCE, judge
from modelwright.search.handover.manifest import FILES
from modelwright.search.handover.wilson import wilson
from modelwright.training import Preprocess, predict, preprocess

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "handover.md").read_text(encoding="utf-8")
DEVICE = Device("cpu", "a | processor", 3, {"torch": "2.13"}, "0123abc")
TAKEN = Measurement("tokens", 8, "fp32", "eager", False, (0.1, 0.2), 0.0123456, 0.0437, 5, 7, "2026-01-02", DEVICE)


class Given(NamedTuple):
    """A network that was handed over, and what it was made of."""

    network: nn.Module
    member: Member
    context: Context
    folder: Path

    @property
    def samples(self) -> torch.Tensor:
        """Five of them, at random."""
        draw = torch.Generator().manual_seed(7)
        shape = (5, *self.context.data.shape)
        if len(shape) == 4:
            return torch.randint(0, 256, shape, dtype=torch.uint8, generator=draw)
        return torch.randint(0, 50, shape, generator=draw)

    def wanted(self, samples: torch.Tensor) -> torch.Tensor:
        """What the network itself answers, in evaluation."""
        data, found = self.context.data, self.member.architecture
        if len(data.shape) == 3:
            samples = Preprocess(found.input[1:], found.classes, data.mean, data.std)(samples)
        with torch.no_grad():
            return self.network.eval()(samples)


def onnx_run(folder: Path, samples: torch.Tensor) -> torch.Tensor:
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: samples.numpy()})[0])


def program_run(folder: Path, samples: torch.Tensor) -> torch.Tensor:
    return torch.export.load(folder / "program.pt2").module()(samples)


def weights_run(folder: Path, samples: torch.Tensor) -> torch.Tensor:
    return load_member(folder)(samples)


def given_network(found: Architecture, data: DataCard, folder: Path) -> Given:
    torch.manual_seed(0)
    network = build(found)  # in training mode, as nothing promises otherwise
    learning = Learning(found.name, data.name, Recipe(seed=5), (), 30 / 40, 27 / 36, False, DEVICE)
    told = {"latency_s": 0.0101}
    member = Member("tokens" if found.input == (12,) else "shrunk", found, learning, told, TAKEN, 12, counted=told)
    context = Context(data, ManualClock(), "fedcba9", "study.journal", "modelwright search --x=`a|b`", "on a card")
    return Given(network, hand_over(network, member, folder, context=context), context, folder / member.name)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the guide's own Python made: a network that was trained on digits, enlarged from 8x8 to 16x16."""
    [block] = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    found: dict = {"home": tmp_path_factory.mktemp("guide")}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(found["home"])
        exec(compile(block, "handover.md", "exec"), found)
    return found


@pytest.fixture(scope="module")
def trained(guide: dict) -> Given:
    context = Context.of(guide["data"], command="modelwright search")
    return Given(guide["trained"].network, guide["member"], context, guide["home"] / "family" / "small")


@pytest.fixture(scope="module")
def shrunk(tmp_path_factory: pytest.TempPathFactory) -> Given:
    """Colour images of 40x20: shrunk along one side, with antialiasing, and enlarged along the other."""
    block = Transformer(width=16, heads=2, kv_heads=2, hidden=32)
    found = Architecture("shrunk-vit", (3, 16, 24), 4, PatchStem(8, 16), (Stage(block),), TokenHead(), dropout=0.5)
    data = DataCard("da|ta", ("a", "b_c", "d", "<e>"), (3, 40, 20), (0.5, 0.4, 0.3), (0.2, 0.3, 0.25), {"test": 36})
    return given_network(found, data, tmp_path_factory.mktemp("shrunk"))


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Given:
    block = Transformer(width=16, heads=4, kv_heads=2, hidden=32, causal=True, activation="gelu-tanh")
    head = TokenHead(pool="none", tied=True, bias=False)
    found = Architecture("tiny-gpt", (12,), 50, TokenStem(50, 16, 16), (Stage(block),), head)
    return given_network(found, DataCard("text", (), (12,)), tmp_path_factory.mktemp("tokens"))


@pytest.fixture(params=["trained", "shrunk", "tokens"])
def each(request: pytest.FixtureRequest) -> Given:
    return request.getfixturevalue(request.param)


def test_every_format_answers_as_the_network_for_any_batch(each: Given) -> None:
    for batch in (1, 2, 5):
        samples = each.samples[:batch]
        wanted = each.wanted(samples)
        for run in (weights_run, program_run, onnx_run):
            assert (run(each.folder, samples) - wanted).abs().max() <= 2e-6 * wanted.abs().max()


def test_real_images_get_the_logits_and_the_accuracy_that_training_saw(trained: Given, guide: dict) -> None:
    data = guide["data"]
    images, labels = data.test.batch(torch.arange(len(data.test)))
    logits = predict(trained.network, data.test, preprocess(trained.member.architecture, data))
    accuracy = trained.member.learning.test_accuracy
    for run in (weights_run, program_run, onnx_run):
        found = run(trained.folder, images)
        assert torch.allclose(found, logits, rtol=1e-4, atol=1e-5)
        assert (found.argmax(1) == labels).double().mean().item() == accuracy
    right = round(accuracy * len(labels))
    low, high = wilson(right, len(labels))
    row = f"| test | {100 * accuracy:.2f} % | {right} of {len(labels)} | {100 * low:.2f} to {100 * high:.2f} % |"
    assert row in (trained.folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_as_published(right: int, total: int, low: float, high: float) -> None:
    """Newcombe, 1998, Statistics in Medicine 17, 857-872, table I, method 3."""
    assert wilson(right, total) == pytest.approx((low, high), abs=5e-5)
    assert wilson(total - right, total) == pytest.approx((1 - high, 1 - low), abs=5e-5)


def multiplies(network: nn.Module, sample: torch.Tensor) -> int:
    """Multiply-accumulates of convolutions and linear layers, counted as they run."""
    found: list[int] = []

    def count(layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        each = layer.weight[0].numel() if isinstance(layer, nn.Conv2d) else layer.in_features
        found.append(each * output.numel())

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        network.eval()(sample)
    for hook in hooks:
        hook.remove()
    return sum(found)


def test_the_cards_numbers_are_the_records(trained: Given, tokens: Given) -> None:
    card = (trained.folder / "README.md").read_text()
    macs = multiplies(trained.network, torch.zeros(1, *trained.member.architecture.input))
    assert f"| multiply-accumulates a sample | {macs:,} |" in card
    assert f"| parameters | {sum(p.numel() for p in trained.network.parameters()):,} |" in card
    assert all(
        f"| {key} | {value} |" in card for key, value in msgspec.structs.asdict(Recipe()).items() if key == "seed"
    )
    data = trained.context.data
    assert f"{data.mean[0]:.4f}; then it is divided" in card
    assert "Resized to 16x16, bilinear.\n" in card
    assert f"{data.images['validation']} validation, {data.images['test']} test" in card
    card = (tokens.folder / "README.md").read_text()
    assert "median 12.35 ms a batch of 8, 648 samples/s" in card  # 0.0123456 s, and 8 / 0.0123456 a second
    assert "Spread: 4.37 % (interquartile range over median) of 2 repetitions of 7 calls, after 5 of warm-up." in card
    assert r"a \| processor (cpu, 3 threads; torch 2.13; commit 0123abc), 2026-01-02" in card
    assert "Predicted by the performance model (on a card): 10.1 ms a batch." in card
    assert "0 epochs, **not to the recipe's end**, seed 5" in card
    assert "| validation | 75.00 % | | |" in card
    for told in (
        "2000-01-01T00:00:00+00:00",
        "fedcba9",
        "study.journal",
        r"modelwright search --x=\`a\|b\`",
        "trial 12",
    ):
        assert told in card
    shared = tokens.network.head.classifier.weight
    assert shared is tokens.network.stem.table.weight
    assert f"| parameters | {sum(p.numel() for p in tokens.network.parameters()):,} |" in card


def test_a_card_tells_the_preprocessing_and_shows_odd_names_as_they_are(shrunk: Given) -> None:
    card = (shrunk.folder / "README.md").read_text()
    assert "uint8 images of shape (N, 3, 40, 20)" in card
    assert "Resized to 16x24, bilinear, antialiased." in card
    assert "0.5000, 0.4000, 0.3000; then it is divided by the deviation,\n       0.2000, 0.3000, 0.2500." in card
    assert r"a, b\_c, d, \<e\>" in card
    assert r"da\|ta" in card


def test_the_cards_python_runs_as_it_stands(each: Given, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(each.folder)
    blocks = re.findall(r"```python\n(.*?)```", (each.folder / "README.md").read_text(), re.DOTALL)
    assert [len(block.splitlines()) <= 6 for block in blocks] == [True] * 3
    zeros = torch.zeros(4, *each.context.data.shape, dtype=each.samples.dtype)
    wanted = each.wanted(zeros).argmax(-1).flatten().tolist()
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
        assert [int(word) for word in re.findall(r"\d+", capsys.readouterr().out)] == wanted


def test_the_program_needs_nothing_of_modelwright(trained: Given) -> None:
    code = next(b for b in re.findall(r"```python\n(.*?)```", (trained.folder / "README.md").read_text(), re.DOTALL)
                if "export.load" in b)  # fmt: skip
    look = f"{code}\nimport sys; print('modelwright' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], cwd=trained.folder, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")


def test_the_files_belong_together_and_tell_no_path(each: Given) -> None:
    manifest = verify(each.folder)
    assert each.member.files == {role: f"{each.folder.name}/{name}" for role, name in FILES.items()}
    assert from_json((each.folder / "architecture.json").read_bytes(), Architecture) == each.member.architecture
    with safe_open(each.folder / "weights.safetensors", "pt") as weights:
        about = {"architecture": each.member.architecture.name,
                 "architecture_sha256": manifest.files["architecture"].sha256}  # fmt: skip
        assert weights.metadata() == about
    assert manifest.data == each.context.data
    assert manifest.versions["torch"] == str(torch.__version__)
    assert max(manifest.differences.values()) <= TOLERANCE
    onnx.checker.check_model(each.folder / "model.onnx", full_check=True)
    assert [row.version for row in onnx.load(each.folder / "model.onnx").opset_import if not row.domain] == [20]
    for path in each.folder.iterdir():
        assert str(ROOT).encode() not in path.read_bytes()


@given(st.data())
def test_any_changed_byte_is_found(trained: Given, data: st.DataObject) -> None:
    path = trained.folder / data.draw(st.sampled_from(sorted(set(FILES.values()) - {"manifest.json"})))
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[place] ^= data.draw(st.integers(1, 255))
    for content in (bytes(changed), whole[:place], whole + b"\0"):
        path.write_bytes(content)
        try:
            with pytest.raises(RecordError, match=re.escape(str(path))):
                load_member(trained.folder)
        finally:
            path.write_bytes(whole)
    verify(trained.folder)


def test_a_missing_file_and_a_manifest_that_leads_elsewhere_are_found(trained: Given, tmp_path: Path) -> None:
    for name in FILES.values():
        path = trained.folder / name
        path.rename(tmp_path / name)
        with pytest.raises(RecordError, match=re.escape(name)):
            verify(trained.folder)
        (tmp_path / name).rename(path)
    manifest = verify(trained.folder)
    assert manifest.digest == verify(trained.folder).digest
    for files in (
        {**manifest.files, "card": msgspec.structs.replace(manifest.files["card"], path="../secret")},
        {role: file for role, file in manifest.files.items() if role != "weights"},
    ):
        changed = msgspec.structs.replace(manifest, files=files)
        assert changed.digest != manifest.digest
        (tmp_path / "manifest.json").write_bytes(to_json(changed))
        with pytest.raises(RecordError, match=r"manifest\.json"):
            verify(tmp_path)


def test_verifying_needs_no_torch() -> None:
    look = "import sys; from modelwright.search.handover import verify; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def again(given: Given, network: nn.Module | None = None, **changes: object) -> Member:
    """Hand the same network over once more, or another in its place."""
    member = msgspec.structs.replace(given.member, **changes)
    return hand_over(network or given.network, member, given.folder.parent, context=given.context)


def unchanged(given: Given, before: str) -> None:
    assert verify(given.folder).digest == before
    assert [path.name for path in given.folder.parent.iterdir()] == [given.folder.name]


def test_a_new_folder_replaces_the_old_one_in_silence_and_leaves_the_network_alone(tokens: Given, capfd) -> None:
    torch.manual_seed(1)
    other = build(tokens.member.architecture)
    weights = {name: value.clone() for name, value in other.state_dict().items()}
    before = verify(tokens.folder).digest
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            again(tokens, other)
        assert [str(one.message) for one in told] == []
        assert tuple(capfd.readouterr()) == ("", "")
        assert verify(tokens.folder).digest != before
        assert torch.equal(load_member(tokens.folder)(tokens.samples), other.eval()(tokens.samples))
        assert all(torch.equal(value, weights[name]) for name, value in other.state_dict().items())
        assert all(parameter.requires_grad for parameter in other.parameters())
    finally:
        again(tokens)


def test_a_disk_that_is_full_leaves_what_was_there(shrunk: Given) -> None:
    before, manifest = verify(shrunk.folder).digest, verify(shrunk.folder)
    sizes = {role: manifest.files[role].bytes for role in ("weights", "program", "onnx")}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in (sizes["weights"] // 2, sizes["program"] // 2):
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
        try:
            with pytest.raises(OSError, match="File too large"):
                again(shrunk)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        unchanged(shrunk, before)


def test_a_process_that_is_killed_half_way_leaves_what_was_there(shrunk: Given) -> None:
    before = verify(shrunk.folder).digest
    child = os.fork()
    if not child:

        def die(event: str, where: tuple[object, ...]) -> None:
            if event == "os.rename" and str(where[1]).endswith("program.pt2"):
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(die)
        try:
            again(shrunk)
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert verify(shrunk.folder).digest == before
    left = [path for path in shrunk.folder.parent.iterdir() if path != shrunk.folder]
    assert [path.name for path in left] == [f".shrunk.{child}.part"]
    assert len(list(left[0].iterdir())) == 3  # record, weights, and a program that had no name yet
    again(shrunk)
    unchanged(shrunk, verify(shrunk.folder).digest)


class Spoiled(nn.Module):
    """A network that is not its record's any more: its answers are doubled, by a number that no weights file holds."""

    def __init__(self, network: nn.Module, factor: float) -> None:
        super().__init__()
        self.stem, self.stages, self.head, self.factor = network.stem, network.stages, network.head, factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stages(self.stem(x))) * self.factor


def test_a_network_that_answers_otherwise_than_its_files_is_refused(shrunk: Given) -> None:
    before = verify(shrunk.folder).digest
    with pytest.raises(ExportError, match=r"shrunk, weights\.safetensors: outputs must be .* but got 0\.5") as told:
        again(shrunk, Spoiled(shrunk.network, 2.0))
    assert told.value.value == pytest.approx(0.5)
    with pytest.raises(ExportError, match=r"shrunk, weights\.safetensors: outputs must be .* but got nan"):
        again(shrunk, Spoiled(shrunk.network, float("nan")))
    with pytest.raises(RecordError, match="must hold the same weights"):
        again(shrunk, nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 24, 4)))
    unchanged(shrunk, before)
    judge(TOLERANCE, "net, model.onnx")
    with pytest.raises(ExportError, match=r"net, model\.onnx: outputs must be .* but got 0\.000100"):
        judge(TOLERANCE * 1.001, "net, model.onnx")


def test_a_network_that_no_graph_can_hold_is_refused(shrunk: Given, capfd) -> None:
    class Asks(Spoiled):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x if x.sum().item() > 0 else x + 0.0)

    before = verify(shrunk.folder).digest
    with pytest.raises(ExportError, match=r"shrunk, program\.pt2: the network must be one that can be written") as told:
        again(shrunk, Asks(shrunk.network, 1.0))
    assert len(str(told.value).splitlines()) == 1
    assert tuple(capfd.readouterr()) == ("", "")
    unchanged(shrunk, before)


def test_what_contradicts_the_records_is_refused_before_anything_is_written(shrunk: Given, tmp_path: Path) -> None:
    data = shrunk.context.data

    def refused(error: type[Exception], words: str, context: DataCard = data, **changes: object) -> None:
        member = msgspec.structs.replace(shrunk.member, **changes)
        with pytest.raises(error, match=words):
            hand_over(shrunk.network, member, tmp_path, context=replace(shrunk.context, data=context))

    learning = msgspec.structs.replace(shrunk.member.learning, test_accuracy=0.9)
    refused(RecordError, "a count over the split's 36 images", learning=learning)
    for name in ("", "..", "a/b", ".net", "-x", "a\n"):
        refused(SettingError, "must do as a folder's", name=name)
    refused(SettingError, "the 2 classes", msgspec.structs.replace(data, classes=("a", "b")))
    refused(SettingError, "mean and a deviation", msgspec.structs.replace(data, std=(1.0,)))
    refused(ShapeError, "must read samples", msgspec.structs.replace(data, shape=(1, 40, 20)))
    assert list(tmp_path.iterdir()) == []


def test_a_context_takes_its_words_from_data_and_plan(guide: dict) -> None:
    data, space = guide["data"], Space("one", (Choice("depth", (1, 2)),))
    plan = Plan(space, (Objective("accuracy"),), "digits", "a100", batch=8, precision="fp16", execution="compiled")
    context = Context.of(data, study=Path("/somewhere/study.journal"), clock=ManualClock(), plan=plan)
    assert context.study == "study.journal"
    assert context.predicted_for == "a100, batch 8, fp16 compiled"
    assert context.data.classes == tuple("0123456789")
    assert context.data.images == {"train": 128, "validation": len(data.validation), "test": len(data.test)}
