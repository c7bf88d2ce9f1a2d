"""An artifact on duty answers as its network and its guard do, in a process of its own as well."""

import asyncio
import io
import json
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from modelwright.clock import ManualClock
from modelwright.endpoint import GUARD, NOBODY, GuardedClassifier, load
from modelwright.errors import RecordError, SettingError, ShapeError
from modelwright.guard import extract, fit
from modelwright.networks.build import build
from modelwright.quantize.artifact import QuantizedManifest
from modelwright.records import (
    Architecture,
    DataCard,
    Device,
    GuardPlan,
    Learning,
    Measurement,
    Member,
    PatchStem,
    Quantization,
    Recipe,
    Stage,
    TokenHead,
    Transformer,
    to_json,
)
from modelwright.search.handover import Context, hand_over, load_member, verify
from modelwright.serve.instances import Call, Launch, Reply, invocation_headers, start_instance
from modelwright.store import file_of

DEVICE = Device("cpu", "a processor", 1, {}, "")
CLASSES = ("ant", "bee", "cow", "dog")


class Handed(NamedTuple):
    """An artifact, and images with what its network makes of them."""

    folder: Path
    images: np.ndarray
    features: np.ndarray
    logits: np.ndarray


@pytest.fixture(scope="module")
def handed(tmp_path_factory: pytest.TempPathFactory) -> Handed:
    """A small network that was handed over, unlearned, with a guard beside it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    block = Transformer(width=16, heads=2, kv_heads=2, hidden=32)
    found = Architecture("vit", (1, 8, 8), 4, PatchStem(4, 16), (Stage(block),), TokenHead())
    card = DataCard("animals", CLASSES, (1, 8, 8), (0.5,), (0.3,), {})
    learning = Learning("vit", "animals", Recipe(), (), 0.5, None, False, DEVICE)
    taken = Measurement("vit", 8, "fp32", "eager", False, (0.1, 0.2), 0.01, 0.04, 5, 7, "2026-01-02", DEVICE)
    member = Member("vit", found, learning, {}, taken, 1)
    folder = tmp_path_factory.mktemp("family")
    hand_over(build(found), member, folder, context=Context(card, ManualClock(), "", "", "", ""))
    images = np.random.default_rng(0).integers(0, 256, (200, 1, 8, 8), np.uint8)
    seen = extract(load_member(folder / "vit"), [torch.from_numpy(images)])
    labels = np.arange(200) % 4
    digest = verify(folder / "vit").digest
    plan = GuardPlan(quantile=0.8, classes=CLASSES)
    fit(seen.features, seen.logits, labels, detector="energy", artifact=digest, plan=plan).save(folder / "vit.guard")
    torch.set_num_threads(before)
    return Handed(folder / "vit", images, seen.features, seen.logits)


def asked(handler: GuardedClassifier, *bodies: bytes, kind: str = "application/json", accept: str = "") -> list[Reply]:
    return list(handler.answer([Call(io.BytesIO(body), kind, accept) for body in bodies]))


def as_npy(array: np.ndarray) -> bytes:
    held = io.BytesIO()
    np.save(held, array)
    return held.getvalue()


def test_each_row_is_answered_as_network_and_guard_decide(handed: Handed) -> None:
    from modelwright.guard import load as load_guard

    handler = load(handed.folder, {})
    [reply] = asked(handler, json.dumps({"inputs": handed.images[:50].tolist()}).encode())
    rows = json.loads(reply.body)["predictions"]
    guard = load_guard(handed.folder.with_name("vit.guard"), verify(handed.folder).digest)
    wanted = guard.decide(handed.features[:50], handed.logits[:50])
    assert [row["label"] for row in rows] == handed.logits[:50].argmax(1).tolist()
    assert [row["class"] for row in rows] == [CLASSES[row["label"]] for row in rows]
    assert [(row["decision"], row["reason"]) for row in rows] == [(one.outcome, one.reason) for one in wanted]
    assert [row["probability"] for row in rows] == pytest.approx(wanted.probability.tolist(), rel=1e-5)
    assert {row["decision"] for row in rows} == {"accept", "defer"}


def test_calls_that_are_answered_together_get_their_own_rows(handed: Handed) -> None:
    handler = load(handed.folder, {})
    parts = [handed.images[:3], handed.images[3:4], handed.images[4:9]]
    apart = [asked(handler, as_npy(part), kind="application/x-npy")[0].body for part in parts]
    together = asked(handler, *map(as_npy, parts), kind="application/x-npy")
    labels = [[row["label"] for row in json.loads(body)["predictions"]] for body in apart]
    assert [[row["label"] for row in json.loads(reply.body)["predictions"]] for reply in together] == labels
    assert list(map(len, labels)) == [3, 1, 5]


def test_one_sample_may_come_alone_and_a_table_be_asked_for(handed: Handed) -> None:
    [reply] = asked(load(handed.folder, {}), as_npy(handed.images[0]), kind="application/x-npy", accept="text/csv")
    header, row = reply.body.decode().splitlines()
    assert header == "label,class,probability,decision,reason,score"
    assert row.startswith(f"{handed.logits[0].argmax()},")


def test_without_a_guard_nobody_decides(handed: Handed, tmp_path: Path) -> None:
    folder = shutil.copytree(handed.folder, tmp_path / "alone")
    [row] = load(folder, {}).rows(torch.from_numpy(handed.images[:1]))
    shares = np.exp(handed.logits[0]) / np.exp(handed.logits[0]).sum()
    assert (row["decision"], row["reason"]) == (None, NOBODY)
    assert row["probability"] == pytest.approx(shares.max(), rel=1e-5)


def test_another_artifacts_guard_is_refused(handed: Handed, tmp_path: Path) -> None:
    folder = shutil.copytree(handed.folder, tmp_path / "other")
    shutil.copytree(handed.folder.with_name("vit.guard"), folder / "guard")
    assert load(folder, {}).rows(torch.from_numpy(handed.images[:1]))[0]["decision"]
    rows = np.random.default_rng(1).normal(size=(80, 4))
    fit(rows, rows, np.arange(80) % 4, detector="energy", plan=GuardPlan(quantile=0.9)).save(tmp_path / "strange")
    with pytest.raises(RecordError, match="must have been fitted for this artifact"):
        load(folder, {GUARD: str(tmp_path / "strange")})
    with pytest.raises(SettingError, match="handed over"):
        load(tmp_path, {})


@pytest.mark.parametrize(
    ("body", "kind", "error"),
    [
        (b"{}", "application/json", RecordError),
        (b'{"inputs": "text"}', "application/json", RecordError),
        (b'{"inputs": [[1], [1, 2]]}', "application/json", ShapeError),
        (b'{"inputs": [[[[1.5]]]]}', "application/json", ShapeError),
        (b'{"inputs": 1}', "application/json", ShapeError),
        (b'{"inputs": []}', "application/json", ShapeError),
        (b"7", "application/json", ShapeError),
        (b"nonsense", "application/json", RecordError),
        (b"nonsense", "application/x-npy", RecordError),
        (as_npy(np.full((2, 1, 8, 8), 256)), "application/x-npy", RecordError),
        (as_npy(np.full((2, 1, 8, 8), -1)), "application/x-npy", RecordError),
        (as_npy(np.full((2, 1, 8, 8), 0.5)), "application/x-npy", RecordError),
        (as_npy(np.full((2, 1, 8, 8), np.nan)), "application/x-npy", RecordError),
        (as_npy(np.zeros((2, 3, 8, 8))), "application/x-npy", ShapeError),
        (b"x", "image/png", SettingError),
    ],
)
def test_what_is_no_input_is_told_so(handed: Handed, body: bytes, kind: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        asked(load(handed.folder, {}), body, kind=kind)


def test_a_quantized_artifact_answers_the_same(handed: Handed, tmp_path: Path) -> None:
    """What a search exports is a program of ONNX Runtime, as a quantization hands it over."""
    folder = tmp_path / "out" / "artifact"
    folder.mkdir(parents=True)
    shutil.copyfile(handed.folder / "model.onnx", folder / "model.onnx")
    manifest = QuantizedManifest(
        model="vit",
        target="onnxruntime",
        recipe=Quantization(),
        files=(file_of(folder / "model.onnx"),),
        batch=1,
        latency_s=1e-3,
        accuracy=None,
        drop=None,
        integer_share=0.0,
        max_drop=0.01,
        made_at="2026-01-01T00:00:00+00:00",
        versions={},
        data=verify(handed.folder).data,
    )
    (folder / "quantized.json").write_bytes(to_json(manifest))
    rows = load(folder.parent, {}).rows(torch.from_numpy(handed.images[:20]))
    assert [row["label"] for row in rows] == handed.logits[:20].argmax(1).tolist()


def test_in_a_process_of_its_own_it_answers_many_calls_together(handed: Handed, tmp_path: Path) -> None:
    options = ("--max-batch", "8", "--max-wait", "0.2")
    launch = Launch(handed.folder, tmp_path / "record", "modelwright.endpoint:load", options)

    async def main() -> list[int]:
        instance = await start_instance(launch, patience_s=120)

        async def one(number: int) -> int:
            headers = invocation_headers("application/x-npy")
            async with instance.invoke(headers, as_npy(handed.images[number]), deadline_s=60) as answer:
                [row] = json.loads(await answer.read())["predictions"]
                return row["label"]

        try:
            async with instance.invoke(invocation_headers("image/png"), b"x", deadline_s=60) as answer:
                assert answer.status == 415
            async with instance.invoke([], b'{"inputs": [1]}', deadline_s=60) as answer:
                assert answer.status == 400
            return await asyncio.gather(*map(one, range(20)))
        finally:
            await instance.stop()

    assert asyncio.run(main()) == handed.logits[:20].argmax(1).tolist()
