"""A fitted guard: it decides, and is kept with the artifact that it is for."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import msgspec
import numpy as np
from safetensors.numpy import load as arrays_in
from safetensors.numpy import save as bytes_of

from modelwright.errors import RecordError, SettingError
from modelwright.guard.calibration import probabilities
from modelwright.guard.decisions import Decisions
from modelwright.guard.detectors.catalogue import detector
from modelwright.guard.detectors.detector import Fitted, checked
from modelwright.guard.rows import Array, Floats
from modelwright.records import File, GuardRecord, from_json, to_json
from modelwright.store import check_files, digest, read, whole_folder

RECORD = "guard.json"
NUMBERS = "guard.safetensors"
_VERSION = 1


@final
@dataclass(frozen=True, eq=False)
class GuardProfile:
    """A detector with its threshold, for one classifier.

    Attributes:
        record: all but the detector's arrays.
        fitted: the detector.
    """

    record: GuardRecord
    fitted: Fitted

    def decide(self, features: Array, logits: Array) -> Decisions:
        """Whether each prediction may be used.

        A row is accepted if its score is at most the threshold and its probability at least the least one. Rows with a
        number that is not finite, and rows whose score fails, are deferred.

        Args:
            features: (n, width), as the classifier's last layer takes them.
            logits: (n, k), as it gives them.

        Raises:
            ShapeError: another width, another number of classes, or no numbers.
        """
        wide, found = checked(features, logits, self.record.width, len(self.record.classes))
        predicted = np.isfinite(found).all(1)
        probability = probabilities(found, self.record.temperature).max(1)
        label = np.where(predicted, np.where(np.isnan(found), -np.inf, found).argmax(1), -1).astype(np.int64)
        score = self._score(wide, found)
        reason = np.zeros(len(wide), np.int8)
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

    def _score(self, features: Floats, logits: Floats) -> Floats:
        """Scores; NaN for all where the detector fails: a failed score defers."""
        try:
            scores = self.fitted.score(features, logits)
        except (ArithmeticError, MemoryError, ValueError):
            return np.full(len(features), np.nan)
        return scores if scores.shape == (len(features),) else np.full(len(features), np.nan)


def load(folder: Path, artifact: str) -> GuardProfile:
    """The profile that was saved in a folder.

    Args:
        folder: of `GuardProfile.save`.
        artifact: SHA-256 digest of the artifact that is to be guarded; "" for a model that lives elsewhere.

    Raises:
        RecordError: a file is missing or damaged, or the profile is for another artifact.
        UnknownNameError: its detector is not known here.
        SettingError: the detector has other settings here.
    """
    where = str(Path(folder) / RECORD)
    record = from_json(read(Path(folder) / RECORD), GuardRecord, where=where)
    again = "Fit the guard again, or fetch its folder again from where it came."
    if not record.intact:
        raise RecordError("the file must be as it was written", where=where, way_out=again)
    if record.version != _VERSION:
        raise RecordError(f"its version must be {_VERSION}", where=where, value=record.version, way_out=again)
    if record.artifact != artifact:
        rule = f"the guard must have been fitted for this artifact, {artifact or 'a model that lives elsewhere'}"
        raise RecordError(rule, where=where, value=record.artifact, way_out="Fit a guard for this one.")
    check_files(Path(folder), [record.numbers])
    numbers = arrays_in(read(Path(folder) / record.numbers.path))
    known = detector(record.detector, record.settings)
    return GuardProfile(record, Fitted(known, record.width, len(record.classes), numbers))


def profile_of(fitted: Fitted, record: GuardRecord) -> GuardProfile:
    """A profile whose record bears the detector's arrays and its seal."""
    content = bytes_of(fitted.arrays())
    numbers = File(NUMBERS, digest(content), len(content))
    return GuardProfile(msgspec.structs.replace(record, numbers=numbers).sealed(), fitted)
