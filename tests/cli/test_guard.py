"""The command `guard`: what it leaves and tells, whom it refuses, and that no reviewer keeps what was left undone."""

import builtins
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from modelwright.cli.main import main
from modelwright.clock import ManualClock
from modelwright.guard import Queue, load
from modelwright.quantize.artifact import QuantizedManifest
from modelwright.records import (
    GuardEvaluation,
    GuardRecord,
    Quantization,
    ReviewItem,
    ReviewRules,
    Verdict,
    from_json,
    to_json,
)
from modelwright.search.handover import verify
from modelwright.store import file_of

Run = Callable[..., tuple[int, str, str]]
CLASSES = ("ant", "bee", "cat")
MIDDLES = np.random.default_rng(0).normal(size=(len(CLASSES), 5)) * 2


def drawn(count: int, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, len(MIDDLES), count)
    features = MIDDLES[labels] + random.normal(size=(count, 5))
    return {"features": features, "logits": features @ MIDDLES.T - (MIDDLES**2).sum(1) / 2, "labels": labels}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["guard", *map(str, words)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with rows to fit on, to test with, and of an outlier."""
    np.savez(tmp_path / "arrays.npz", **drawn(600, 1))
    np.savez(tmp_path / "test.npz", **drawn(200, 2))
    np.savez(tmp_path / "far.npz", **{**drawn(40, 3), "features": np.full((40, 5), 30.0)})
    return tmp_path


@pytest.fixture
def guard(place: Path, run: Run) -> Path:
    words = ["--detector", "mahalanobis", "--quantile", "90%", "--classes", *CLASSES]
    assert run("fit", place / "arrays.npz", *words)[0] == 0
    return place / "arrays.guard"


def test_fit_chooses_promises_and_writes_beside_the_arrays(run: Run, place: Path) -> None:
    code, out, err = run("fit", place / "arrays.npz", "--risk", "10%", "--ood-share", "5%", "--json")
    record = from_json(out, GuardRecord)
    assert load(place / "arrays.guard", "").record == record
    assert (record.promise.risk, record.promise.ood_share) == (0.1, 0.05)
    assert code == (0 if record.promise.holds else 1)
    assert [one.detector for one in record.trials if one.chosen] == [record.detector]
    assert f"wrote {place / 'arrays.guard'}" in err
    told = run("fit", place / "arrays.npz", "--risk", "10%", "--ood-share", "5%")[1]
    assert all(one.detector in told for one in record.trials)
    assert record.promise.why in told
    assert f"Why {record.detector}: {record.trials[0].why}." in told


def test_a_promise_that_cannot_be_given_is_said_and_is_exit_code_1(run: Run, place: Path) -> None:
    code, out, _ = run("fit", place / "arrays.npz", "--risk", "0.001", "--detector", "msp", "--output", place / "out")
    assert code == 1
    assert "NOT promised" in out
    assert load(place / "out", "").record.promise.holds is False


def test_a_promise_of_outliers_needs_grounds_and_each_is_an_option(run: Run, place: Path) -> None:
    words = ["fit", place / "arrays.npz", "--risk", "20%", "--ood-share", "5%", "--detector", "mahalanobis"]
    far = {**drawn(400, 3), "features": np.random.default_rng(0).normal(size=(400, 5)) * 30}
    np.savez(place / "far.npz", **far)
    code, out, _ = run(*words)
    assert code == 1
    assert "trained on a class" in out
    code, out, _ = run(*words, "--outliers", place / "far.npz", "--json")
    record = from_json(out, GuardRecord)
    assert (code, record.promise.holds, record.promise.basis) == (0, True, "outliers")
    rows = drawn(600, 1)
    for out_of in range(3):
        kept = [label for label in range(3) if label != out_of]
        np.savez(place / f"fold{out_of}.npz", features=rows["features"], logits=rows["logits"][:, kept], held=[out_of])
    folds = [place / f"fold{out_of}.npz" for out_of in range(3)]
    told = [from_json(run(*words, *more, "--json")[1], GuardRecord).promise
            for more in (["--foreign"], ["--folds", *folds])]  # fmt: skip
    assert [one.why for one in told] == [told[0].why] * 2  # networks that make the same of the rows show the same
    assert "of 3 classes, each new in its turn" in told[0].why
    lessons = {
        ("--foreign", "--folds", folds[0]): "one of --outliers, --folds, --retrain and --foreign",
        ("--folds", place / "arrays.npz"): "trained without",
        ("--folds", folds[0]): "left out by one network",
        ("--retrain", "3"): "only an artifact",
    }
    for more, lesson in lessons.items():
        code, _, err = run(*words, *more)
        assert code == 2, more
        assert lesson in err, more


def test_an_artifact_is_trained_again_without_classes(run: Run, member: Path, tmp_path: Path) -> None:
    words = [
        "fit",
        member,
        "--rows",
        "300",
        "--detector",
        "energy",
        "--risk",
        "50%",
        "--output",
        tmp_path / "net.guard",
    ]
    assert "trained on a class" in run(*words)[1]
    promise = from_json(run(*words, "--retrain", "1", "--json")[1], GuardRecord).promise
    assert "of 10 classes, each new in its turn" in promise.why
    for more, lesson in {("--foreign",): "Try --retrain", ("--retrain", "0"): "one epoch"}.items():
        code, _, err = run(*words, *more)
        assert code == 2
        assert lesson in err


def test_check_accepts_what_is_familiar_and_defers_the_rest(run: Run, guard: Path, place: Path) -> None:
    rows = drawn(4, 5)
    rows["features"][:2] = MIDDLES[rows["labels"][:2]]
    rows["features"][2] = 99.0
    rows["features"][3] = np.nan
    np.savez(place / "new.npz", features=rows["features"], logits=rows["logits"], keys=np.array(["a", "b", "c", "d"]))
    code, out, _ = run("check", guard, "--data", place / "new.npz", "--json")
    assert code == 0
    told = json.loads(out)
    assert [one["key"] for one in told] == ["a", "b", "c", "d"]
    assert [one["reason"] for one in told] == ["", "", "out of distribution", "score unavailable"]
    assert [one["class"] for one in told] == [CLASSES[one["label"]] for one in told]
    out = run("check", guard, "--data", place / "new.npz")[1]
    assert "2 of 4 accepted, 2 deferred." in out


def test_evaluate_tells_what_the_page_shows(run: Run, guard: Path, place: Path) -> None:
    words = ["evaluate", guard, "--data", place / "test.npz", "--outliers", f"far={place / 'far.npz'}"]
    code, out, err = run(*words, "--json")
    assert code == 0
    found = from_json(out, GuardEvaluation)
    assert (found.rows, found.guard) == (200, load(guard, "").record)
    assert found.coverage == pytest.approx(0.9, abs=0.07)
    [far] = found.outliers
    assert (far.name, far.rows, far.accepted, far.auroc) == ("far", 40, 0, 1)
    assert str(place / "arrays.guard.html") in err
    page = (place / "arrays.guard.html").read_text(encoding="utf-8")
    out = run(*words, "--html", place / "other.html")[1]
    for number in (f"{found.coverage:.1%}", f"{found.risk:.1%}", *CLASSES):
        assert number in out
        assert number in page
    assert (place / "other.html").is_file()


def test_subgroups_are_a_column_of_ones_own(run: Run, guard: Path, place: Path) -> None:
    rows = drawn(300, 2)
    region, year = np.array(["north", "south", "east"])[np.arange(300) % 3], 2020 + np.arange(300) % 2
    wrong = (region == "south") & (np.arange(300) % 2 == 0)  # labels that no classifier would guess
    rows["labels"][wrong] = (rows["labels"][wrong] + 1) % 3
    np.savez(place / "told.npz", **rows, region=region, year=year, amount=np.zeros(300), groups=region[::-1])
    np.savez(place / "arrays2.npz", **drawn(600, 1), region=np.zeros(600))
    assert run("fit", place / "arrays.npz", "--detector", "energy", "--risk", "10%", "--ood-share", "0")[0] == 0
    words = ["evaluate", guard, "--data", place / "told.npz", "--outliers", f"far={place / 'arrays2.npz'}"]
    code, out, _ = run(*words, "--groups", "region", "--json")
    assert code == 0
    found = {one.name: one for one in from_json(out, GuardEvaluation).groups if one.kind == "subgroup"}
    assert {name: one.rows for name, one in found.items()} == {"east": 100, "north": 100, "south": 100}
    assert {name: one.above for name, one in found.items()} == {"east": "no", "north": "no", "south": "beyond chance"}
    out = run(*words, "--groups", "region")[1]
    assert "WARNING: Subgroup south" in out
    assert "beyond what chance explains" in out
    assert "subgroup" in out
    out = run(*words, "--groups", "year", "--json")[1]
    assert {one.name for one in from_json(out, GuardEvaluation).groups if one.kind == "subgroup"} == {"2020", "2021"}
    for column in ("amount", "district"):
        code, _, err = run(*words, "--groups", column)
        assert code == 2
        assert "--groups" in err
    assert "region" in run(*words)[2]  # without --groups an array of another name is taken for a mistake


def test_safetensors_serve_like_numpy(run: Run, guard: Path, place: Path) -> None:
    save_file(drawn(200, 2), place / "test.safetensors")
    first, second = (run("check", guard, "--data", place / f"test{end}", "--json") for end in (".npz", ".safetensors"))
    assert first == second


def test_what_is_no_plain_array_is_refused(run: Run, guard: Path, place: Path) -> None:
    np.savez(place / "objects.npz", features=np.array([{"a": 1}], dtype=object))
    (place / "torn.npz").write_bytes((place / "test.npz").read_bytes()[:500])
    (place / "torn.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    np.savez(place / "words.npz", features=np.array(["a"]), logits=np.zeros((1, 3)))
    np.savez(place / "strange.npz", **drawn(5, 1), weights=np.zeros(3))
    for name in ("objects.npz", "torn.npz", "torn.safetensors", "words.npz", "strange.npz"):
        code, out, err = run("check", guard, "--data", place / name)
        assert (code, out) == (2, ""), name
        assert name in err


def test_what_does_not_fit_is_refused_with_a_lesson(run: Run, guard: Path, place: Path) -> None:
    rows = drawn(20, 1)
    np.savez(place / "narrow.npz", features=rows["features"][:, :2], logits=rows["logits"])
    np.savez(place / "bare.npz", features=rows["features"])
    np.savez(place / "blind.npz", features=rows["features"], logits=rows["logits"])
    lessons = {
        ("check", guard, "--data", place / "narrow.npz"): "features must be (n, 5)",
        ("check", guard, "--data", place / "bare.npz"): "must hold logits",
        ("check", guard, "--data", "digits"): "must be a file of arrays",
        ("check", guard, "--data", place / "nowhere.npz"): "must exist",
        ("check", place / "arrays.npz", "--data", place / "test.npz"): f"Name its guard, such as {guard}",
        ("check", place, "--data", place / "test.npz"): "must be a folder that modelwright search",
        ("evaluate", guard, "--data", place / "blind.npz"): "labels are known",
        ("evaluate", guard, "--data", place / "test.npz", "--outliers", "far"): "must have a name of its own",
        ("fit", place / "blind.npz"): "must have labels",
        ("fit", place / "arrays.npz", "--data", "digits"): "Leave out --data.",
        ("fit", place / "arrays.npz", "--detector", "knm"): "'knn'",
        ("fit", place / "arrays.npz", "--classes", "one"): "3 names of classes",
        ("fit", place / "arrays.npz", "--risk", "7"): "risk",
        ("fit", place / "arrays.npz", "--rows", "0"): "one at least",
        ("review", place / "none.db", "--reviewer", "ann"): "none.db",
        ("review", place / "test.npz", "--reviewer", "ann"): "test.npz",
    }
    for words, lesson in lessons.items():
        code, out, err = run(*words)
        assert code in (1, 2), words
        assert out == "", words
        assert lesson in err, words


@pytest.fixture(scope="module")
def member(searched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a network that a search handed over."""
    [found] = [file.parent for file in searched.glob("*/model.onnx")]
    return Path(shutil.copytree(found, tmp_path_factory.mktemp("found") / "net"))


def test_an_artifact_is_guarded_on_its_own_data_and_no_other_has_its_guard(
    run: Run, member: Path, guard: Path, place: Path
) -> None:
    words = ["--rows", "300", "--detector", "energy", "--quantile", "0.9"]
    code, out, _ = run("fit", member, *words, "--json")
    assert code == 0
    record = from_json(out, GuardRecord)
    folder = member.with_name("net.guard")
    assert record.artifact == verify(member).digest
    assert record.classes == tuple(map(str, range(10)))
    assert load(folder, record.artifact).record == record
    code, out, _ = run("evaluate", member, "--rows", "200", "--json", "--html", place / "page.html")
    assert code == 0
    assert from_json(out, GuardEvaluation).coverage == pytest.approx(0.9, abs=0.08)
    np.save(place / "noise.npy", np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8), np.uint8))
    assert len(json.loads(run("check", member, "--data", place / "noise.npy", "--json")[1])) == 3
    np.save(place / "wide.npy", np.zeros((3, 1, 9, 9), np.uint8))
    assert "inputs must be (n, 1, 8, 8)" in run("check", member, "--data", place / "wide.npy")[2]
    code, _, err = run("check", member, "--guard", guard, "--data", place / "noise.npy")
    assert code == 2
    assert "must have been fitted for this artifact" in err
    code, _, err = run("check", folder, "--data", place / "test.npz")
    assert code == 2
    assert "a model that lives elsewhere" in err


def test_a_damaged_artifact_is_refused(run: Run, member: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(member, tmp_path / "net")
    weights = bytearray((broken / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (broken / "weights.safetensors").write_bytes(weights)
    code, _, err = run("fit", broken)
    assert code == 2
    assert "weights.safetensors" in err


def test_a_quantized_artifact_is_guarded_by_its_logits(run: Run, member: Path, tmp_path: Path) -> None:
    """What a search exports is a program of ONNX Runtime, as a quantization hands it over."""
    artifact = tmp_path / "out" / "artifact"
    artifact.mkdir(parents=True)
    shutil.copyfile(member / "model.onnx", artifact / "model.onnx")
    manifest = QuantizedManifest(
        model="net",
        target="onnxruntime",
        recipe=Quantization(),
        files=(file_of(artifact / "model.onnx"),),
        batch=1,
        latency_s=1e-3,
        accuracy=None,
        drop=None,
        integer_share=0.0,
        max_drop=0.01,
        made_at="2026-01-01T00:00:00+00:00",
        versions={},
        data=verify(member).data,
    )
    (artifact / "quantized.json").write_bytes(to_json(manifest))
    words = ["--rows", "300", "--detector", "energy", "--quantile", "0.9", "--json"]
    code, out, _ = run("fit", artifact.parent, *words)
    assert code == 0
    record = from_json(out, GuardRecord)
    assert record.width == len(record.classes) == 10
    known = from_json(run("fit", member, *words, "--output", tmp_path / "member.guard")[1], GuardRecord)
    assert record.threshold == pytest.approx(known.threshold, abs=1e-3)  # energy is of the logits alone
    assert record.artifact != known.artifact
    np.save(tmp_path / "noise.npy", np.zeros((2, 1, 8, 8), np.uint8))
    assert len(json.loads(run("check", artifact.parent, "--data", tmp_path / "noise.npy", "--json")[1])) == 2


def answers(monkeypatch: pytest.MonkeyPatch, *words: str | BaseException) -> None:
    """What a reviewer types, to the end of the input."""
    left: Iterator[str | BaseException] = iter(words)

    def answer(prompt: str = "") -> str:
        word = next(left, EOFError())
        if isinstance(word, BaseException):
            raise word
        return word

    monkeypatch.setattr(builtins, "input", answer)


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    made = Queue.create(tmp_path / "reviews.db", ReviewRules(classes=CLASSES))
    made.add(
        ReviewItem(key, predicted="ant", text=f"{key} said {number * 77}", reason="uncertain", priority=-number)
        for number, key in enumerate(("one", "two", "three"))
    )
    return made


def told(queue: Queue) -> dict[str, str | None]:
    return {verdict.key: verdict.label for verdict in queue.verdicts()}


def test_a_key_gives_a_class_and_the_rest_is_given_back(
    run: Run, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, "?", "9", "2", "n", "q")
    code, out, _ = run("review", queue.path, "--reviewer", "ann")
    assert code == 0
    assert told(queue) == {"one": "bee", "two": None}
    assert (queue.counts().waiting, queue.counts().held) == (1, 0)
    assert out.count("Not a key.") == 2
    assert "2 verdicts given." in out
    for words in ("one said 0", "two said 77", "[1] ant  [2] bee  [3] cat"):
        assert words in out


def test_what_was_skipped_comes_back_later_and_a_verdict_can_be_amended(
    run: Run, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, "a", "s", "ant", "a", "cat", "a", "?", "3")
    code, out, _ = run("review", queue.path, "--reviewer", "ann")
    assert code == 0
    assert told(queue) == {"two": "cat", "three": "cat"}
    assert "There is no verdict of this session yet." in out
    assert "It stays." in out
    assert "Nothing waits." in out
    answers(monkeypatch, "bee")
    run("review", queue.path, "--reviewer", "bob")
    assert told(queue)["one"] == "bee"


@pytest.mark.parametrize("end", [EOFError(), KeyboardInterrupt()])
def test_whoever_leaves_gives_back_and_keeps_what_was_decided(
    run: Run, queue: Queue, monkeypatch: pytest.MonkeyPatch, end: BaseException
) -> None:
    answers(monkeypatch, "1", end)
    code, _, _ = run("review", queue.path, "--reviewer", "ann")
    assert code == (130 if isinstance(end, KeyboardInterrupt) else 0)
    assert told(queue) == {"one": "ant"}
    assert queue.counts().held == 0


def test_a_verdict_that_comes_too_late_is_told_and_the_work_goes_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "reviews.db"
    queue = Queue.create(path, ReviewRules(classes=CLASSES, lease_s=60))
    queue.add([ReviewItem("one"), ReviewItem("two", priority=-1.0)])
    later = Queue.open(path, ManualClock(datetime(2200, 1, 1, tzinfo=UTC)))
    typed = iter(["1", "2", "q"])

    def answer(prompt: str = "") -> str:
        word = next(typed)
        if word == "1":
            later.claim("bob")  # the lease has run out by then
            later.decide("one", "cat", "bob")
        return word

    monkeypatch.setattr(builtins, "input", answer)
    code, out, _ = run("review", path, "--reviewer", "ann")
    assert code == 0
    assert "keeps it" in out
    assert told(queue) == {"one": "cat", "two": "bee"}
    assert "1 verdict given." in out


def test_classes_that_are_numbers_are_their_own_keys(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue.create(tmp_path / "digits.db", ReviewRules(classes=("0", "1", "2")))
    queue.add([ReviewItem("one")])
    answers(monkeypatch, "1")
    assert "[0]  [1]  [2]" in run("review", queue.path, "--reviewer", "ann")[1]
    assert told(queue) == {"one": "1"}


def test_an_item_cannot_command_the_terminal(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue.create(tmp_path / "evil.db")
    queue.add([ReviewItem("\x1b[2Jone", predicted="\x1b]0;x\x07", text="a\x1b[31mb\nc", details={"\x9b": "\r"})])
    answers(monkeypatch, "any word")
    out = run("review", queue.path, "--reviewer", "ann")[1]
    assert not {mark for mark in out if not mark.isprintable()} - {"\n"}
    assert [verdict.label for verdict in queue.verdicts()] == ["any word"]


def test_the_queue_tells_how_it_stands_and_exports_its_verdicts(
    run: Run, queue: Queue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers(monkeypatch, "2", "q")
    run("review", queue.path, "--reviewer", "ann")
    stand = json.loads(run("review", queue.path, "--json")[1])
    assert (stand["counts"]["decided"], stand["counts"]["waiting"]) == (1, 2)
    assert stand["accepted_risk"]["risk"] is None
    run("review", queue.path, "--export", tmp_path / "labels.jsonl")
    [line] = (tmp_path / "labels.jsonl").read_text(encoding="utf-8").splitlines()
    assert from_json(line, Verdict).label == "bee"
    code, _, err = run("review", queue.path)
    assert code == 2
    assert "--reviewer ann" in err


def test_what_check_defers_is_reviewed_and_the_same_again_changes_nothing(
    run: Run, guard: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = drawn(3, 5)
    rows["features"][:] = 99.0
    texts = np.array(["apples are red", "why is the sky blue", "numbers 1 2 3 4 5 6 7"])
    np.savez(place / "new.npz", features=rows["features"], logits=rows["logits"], texts=texts)
    for _ in range(2):
        assert "3 deferred" in run("check", guard, "--data", place / "new.npz", "--queue", place / "reviews.db")[2]
    other = Queue.create(place / "other.db", ReviewRules(classes=("no", "yes"))).path
    assert "must be the guard's" in run("check", guard, "--data", place / "new.npz", "--queue", other)[2]
    queue = Queue.open(place / "reviews.db")
    assert (queue.counts().items, queue.rules.classes) == (3, CLASSES)
    answers(monkeypatch, "cat", "cat", "cat")
    out = run("review", queue.path, "--reviewer", "ann")[1]
    assert all(text in out for text in texts)
    assert sorted(told(queue)) == [f"{place / 'new.npz'}:{row}" for row in range(3)]
