"""A fitted guard: it decides, and is kept with the artifact that it is for.

It holds a detector, which scores what a classifier gives; or a head that was trained on features for the unfamiliar,
which gives logits and scores of its own. torch is imported for the latter only.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import msgspec
import numpy as np
from safetensors.numpy import load as arrays_in
from safetensors.numpy import save as bytes_of

from modelwright.errors import RecordError, SettingError, ShapeError
from modelwright.guard.calibration import probabilities
from modelwright.guard.decisions import Decisions
from modelwright.guard.detectors.catalogue import detector
from modelwright.guard.detectors.detector import Fitted, checked
from modelwright.guard.rows import Array, Floats
from modelwright.records import File, GuardRecord, from_json, to_json
from modelwright.store import check_files, digest, read, whole_folder

if TYPE_CHECKING:
    from modelwright.guard.training.trained import Trained

RECORD = "guard.json"
NUMBERS = "guard.safetensors"
_VERSION = 4
_FAILURES = (ArithmeticError, LookupError, MemoryError, RuntimeError, ValueError)
"""Of a detector or a head; a failed score defers."""


@final
@dataclass(frozen=True, eq=False)
class GuardProfile:
    """A detector with its threshold, for one classifier; or a trained head with its own.

    Attributes:
        record: all but the arrays.
        fitted: the detector, or the head.
    """

    record: GuardRecord
    fitted: "Fitted | Trained"

    def decide(self, features: Array, logits: Array | None = None) -> Decisions:
        """Whether each prediction may be used.

        A row is accepted if its score is at most the threshold and its probability at least the least one. Rows with a
        number that is not finite, and rows whose score fails, are deferred.

        Args:
            features: (n, width), as the classifier's last layer takes them.
            logits: (n, k), as it gives them; a trained head gives its own, and does not look at these.

        Raises:
            ShapeError: another width, another number of classes, or no numbers.
        """
        found, score = self._judged(features, logits)
        predicted = np.isfinite(found).all(1)
        probability = probabilities(found, self.record.temperature).max(1)
        label = np.where(predicted, np.where(np.isnan(found), -np.inf, found).argmax(1), -1).astype(np.int64)
        reason = np.zeros(len(found), np.int8)
        reason[~(probability >= self.record.least_probability)] = 2
        reason[~(score <= self.record.threshold)] = 1
        reason[np.isnan(score) | ~predicted] = 3
        return Decisions(reason, label, probability, score)

    def with_threshold(self, threshold: float) -> "GuardProfile":
        """The same with another threshold, such as verdicts speak for; what was promised of the old one falls.

        Raises:
            SettingError: it is not finite.
        """
        if not np.isfinite(threshold):
            raise SettingError("a threshold must be finite", where="threshold", value=threshold)
        record = msgspec.structs.replace(self.record, threshold=float(threshold), promise=None)
        return GuardProfile(record.sealed(), self.fitted)

    def save(self, folder: Path) -> None:
        """Write the profile to a folder, which appears whole or not at all.

        Raises:
            SettingError: the folder holds other things than an earlier profile.
            OSError: it cannot be written.
        """
        with whole_folder(Path(folder), (RECORD, NUMBERS)) as part:
            (part / NUMBERS).write_bytes(bytes_of(self.fitted.arrays()))
            (part / RECORD).write_bytes(to_json(self.record))

    def logits(self, features: Array, logits: Array | None = None) -> Floats:
        """(n, k) what it decides by: those given, or a trained head's own; NaN for all where the head fails.

        Raises:
            ShapeError: another width, another number of classes, or no numbers.
        """
        return self._judged(features, logits)[0]

    def _judged(self, features: Array, logits: Array | None) -> tuple[Floats, Floats]:
        """Logits and scores; NaN for all where a score fails, as a failed score defers."""
        count = len(self.record.classes)
        if not isinstance(self.fitted, Fitted):
            wide = self.fitted.read(features)
            try:
                return self.fitted.judge(wide)
            except _FAILURES:
                return np.full((len(wide), count), np.nan), np.full(len(wide), np.nan)
        if logits is None:
            way_out = "Give them as the classifier gives them."
            raise ShapeError("this guard needs logits", where="logits", value=None, way_out=way_out)
        wide, found = checked(features, logits, self.record.width, count)
        try:
            scores = self.fitted.score(wide, found)
        except _FAILURES:
            return found, np.full(len(wide), np.nan)
        return found, scores if scores.shape == (len(wide),) else np.full(len(wide), np.nan)


def load(folder: Path, artifact: str) -> GuardProfile:
    """The profile that was saved in a folder.

    Args:
        folder: of `GuardProfile.save`.
        artifact: SHA-256 digest of the artifact that is to be guarded; "" for a model that lives elsewhere.

    Raises:
        RecordError: a file is missing or damaged, or the profile is for another artifact.
        UnknownNameError: its detector, or its head's method, is not known here.
        SettingError: that has other settings here.
    """
    where = str(Path(folder) / RECORD)
    record = from_json(read(Path(folder) / RECORD), GuardRecord, where=where)
    again = "Fit the guard again, or fetch its folder again from where it came."
    if record.version != _VERSION:
        raise RecordError(f"its version must be {_VERSION}", where=where, value=record.version, way_out=again)
    if not record.intact:
        raise RecordError("the file must be as it was written", where=where, way_out=again)
    if record.artifact != artifact:
        rule = f"the guard must have been fitted for this artifact, {artifact or 'a model that lives elsewhere'}"
        raise RecordError(rule, where=where, value=record.artifact, way_out="Fit a guard for this one.")
    check_files(Path(folder), [record.numbers])
    numbers = arrays_in(read(Path(folder) / record.numbers.path))
    if record.head:
        from modelwright.guard.training.trained import restored

        return GuardProfile(record, restored(record, numbers, where))
    known = detector(record.detector, record.settings)
    return GuardProfile(record, Fitted(known, record.width, len(record.classes), numbers))


def profile_of(fitted: "Fitted | Trained", record: GuardRecord) -> GuardProfile:
    """A profile whose record bears the digest of the arrays, and its seal."""
    content = bytes_of(fitted.arrays())
    numbers = File(NUMBERS, digest(content), len(content))
    return GuardProfile(msgspec.structs.replace(record, numbers=numbers).sealed(), fitted)
