"""An artifact on duty: what a search or a quantization handed over, with its guard, as a handler of an instance.

    python -m modelwright.serve.instances.runner --model FOLDER --handler modelwright.endpoint:load

A call is JSON {"inputs": [...]} or an array (application/x-npy): uint8 images of (N, C, h, w), or int64 tokens of
(N, length), as the artifact's data has them; one sample may come without N. Each row is answered by its label and
probability, and by what the guard decides: "accept", or "defer" with a reason. Without a guard nobody decides.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from modelwright.errors import RecordError, SettingError, ShapeError
from modelwright.guard import GuardProfile, Head, extract
from modelwright.guard import load as load_guard
from modelwright.guard.extraction import Extracted
from modelwright.guard.profile import RECORD
from modelwright.quantize.artifact import MANIFEST, QuantizedManifest, load_artifact
from modelwright.quantize.run import targets
from modelwright.quantize.targets.target import Program
from modelwright.records import DataCard, from_json
from modelwright.search.handover import load_member, verify
from modelwright.search.handover.manifest import FILES
from modelwright.serve.instances.calls import Call, Reply
from modelwright.serve.instances.coding import decode, encode
from modelwright.store import digest, read

GUARD = "MODELWRIGHT_GUARD"
"""The variable that names the guard's folder; else it is FOLDER/guard, or FOLDER.guard, if there is one."""

NOBODY = "no guard"
"""The reason of rows that nobody decides about."""


@dataclass(frozen=True, eq=False)
class Classifier:
    """An artifact that runs here.

    Attributes:
        name: of the network.
        digest: of all its files.
        card: of the data that it was trained on; None where nobody described them.
        see: from batches to features and logits.
    """

    name: str
    digest: str
    card: DataCard | None
    see: Callable[[Iterable[Any]], Extracted]


@final
class GuardedClassifier:
    """A classifier and its guard, which answer rows.

    Args:
        classifier: whose every call is made alone; rows of several calls are answered together.
        guard: fitted for it; None for none.
    """

    batches = True

    def __init__(self, classifier: Classifier, guard: GuardProfile | None) -> None:
        self._classifier = classifier
        self._guard = guard
        self._alone = threading.Lock()  # features are taken by hooks, which see every call

    def answer(self, calls: Sequence[Call]) -> Sequence[Reply]:
        """The rows of each call, as {"predictions": [...]} in JSON, or a table in CSV.

        Raises:
            SettingError: a content type is not read or not written here.
            RecordError, ShapeError: the inputs are no whole numbers of the data's own shape.
        """
        inputs = [self._inputs(decode(call.read(), call.content_type)) for call in calls]
        with self._alone:
            rows = self.rows(torch.cat(inputs))
        ends = np.cumsum([len(one) for one in inputs]).tolist()
        parts = (rows[end - len(one) : end] for one, end in zip(inputs, ends, strict=True))
        return [_reply(part, call) for part, call in zip(parts, calls, strict=True)]

    def rows(self, inputs: torch.Tensor) -> list[dict[str, Any]]:
        """An answer for each input."""
        seen = self._classifier.see([inputs])
        if self._guard is None:
            return [self._row(int(found.argmax()), float(found.max()), None, NOBODY) for found in _shares(seen.logits)]
        decisions = self._guard.decide(seen.features, seen.logits)
        return [self._row(one.label, one.probability, one.outcome, one.reason, one.score) for one in decisions]

    def _row(
        self,
        label: int | None,
        probability: float | None,
        decision: str | None,
        reason: str,
        score: float | None = None,
    ) -> dict[str, Any]:
        card = self._classifier.card
        named = card.classes[label] if card and label is not None and label < len(card.classes) else None
        told = {"label": label, "class": named, "probability": probability, "decision": decision, "reason": reason}
        return told if self._guard is None else {**told, "score": score}

    def _inputs(self, given: Any) -> torch.Tensor:
        rows = given.get("inputs", given.get("instances")) if isinstance(given, dict) else given
        if rows is None or isinstance(rows, str | bytes):
            raise RecordError('a call must hold {"inputs": [...]}, or an array', where="body")
        try:
            array: NDArray[Any] = np.asarray(rows)
        except ValueError as failure:
            raise ShapeError(f"inputs must be an array ({failure})", where="inputs") from failure
        card = self._classifier.card
        images = len(card.shape) == 3 if card else array.ndim >= 3
        if card and array.shape == tuple(card.shape):
            array = array[None]
        if (card and array.shape[1:] != tuple(card.shape)) or array.ndim < 2 or not len(array):
            shape = tuple(card.shape) if card else ("...",)
            raise ShapeError(f"inputs must be (N, {', '.join(map(str, shape))})", where="inputs", value=array.shape)
        if array.dtype.kind not in "iuf" or not np.array_equal(array, np.floor(array)):
            raise RecordError("inputs must be whole numbers", where="inputs", value=str(array.dtype))
        least, most = array.min(), array.max()
        if least < 0 or (images and most > 255) or most > np.iinfo(np.int64).max:
            rule = "pixels must be 0 to 255" if images else "tokens must be zero or more"
            raise RecordError(rule, where="inputs", value=[float(least), float(most)])
        return torch.from_numpy(np.ascontiguousarray(array.astype(np.uint8 if images else np.int64)))


def load(folder: Path, environment: Mapping[str, str]) -> GuardedClassifier:
    """The handler of an artifact's folder, after every file was held against its manifest.

    Args:
        folder: of `modelwright search` or `modelwright quantize`.
        environment: may name the guard's folder.

    Raises:
        SettingError: the folder is no artifact, or it cannot run here.
        RecordError: a file is missing, damaged, or belongs to another artifact; so for the guard.
    """
    found = classifier(folder)
    if found is None:
        rule = "it must be a folder that modelwright search or modelwright quantize handed over"
        raise SettingError(rule, where="--model", value=str(folder))
    named = environment.get(GUARD, "")
    places = (Path(named),) if named else (folder / "guard", folder.with_name(f"{folder.name}.guard"))
    place = next((path for path in places if named or (path / RECORD).is_file()), None)
    return GuardedClassifier(found, load_guard(place, found.digest) if place else None)


def classifier(folder: Path) -> Classifier | None:
    """The classifier of a folder that was handed over, or None where the folder is no artifact.

    Raises:
        RecordError: a file is missing, damaged, or belongs to another network.
        SettingError: it cannot run here.
    """
    if (folder / FILES["manifest"]).is_file():
        manifest = verify(folder)
        module = load_member(folder)
        return Classifier(
            folder.resolve().name, manifest.digest, manifest.data, lambda batches: extract(module, batches)
        )
    for place in (folder, folder / "artifact"):
        if (place / MANIFEST).is_file():
            return _quantized(place)
    return None


def _quantized(folder: Path) -> Classifier:
    content = read(folder / MANIFEST)
    manifest = from_json(content, QuantizedManifest, where=str(folder / MANIFEST))
    program = load_artifact(folder, manifest.target, targets[manifest.target]())
    return Classifier(manifest.model, digest(content), manifest.data, lambda batches: _run(program, batches))


def _run(program: Program, batches: Iterable[Any]) -> Extracted:
    """What a runtime tells, which is logits only; they serve as features, too."""
    logits, labels = [], []
    for batch in batches:
        inputs, truth = batch if isinstance(batch, tuple) else (batch, None)
        logits.append(program(inputs).double().numpy())
        labels += [truth.numpy()] if truth is not None else []
    found = np.concatenate(logits)
    head = Head(np.eye(found.shape[1]), np.zeros(found.shape[1]))
    return Extracted(found, found, np.concatenate(labels) if labels else None, head)


def _shares(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities by the softmax, of each row."""
    raised = np.exp(logits - logits.max(1, keepdims=True))
    shares: NDArray[np.float64] = raised / raised.sum(1, keepdims=True)
    return shares


def _reply(rows: list[dict[str, Any]], call: Call) -> Reply:
    accepted = call.accept.lower()
    value: Any = {"predictions": rows}
    if "csv" in accepted:
        value = [list(rows[0]), *([row[name] for name in rows[0]] for row in rows)]
    return Reply(*encode(value, call.accept))
