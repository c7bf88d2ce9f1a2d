"""What training makes of a method: networks that give probabilities and scores, and, on features, may be kept.

Where a class is held out of a trained head, its logit is left out, and what is left of the probabilities adds up to 1
again. The head has been trained on the class, as the networks have whose features the other detectors read.
"""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from modelwright.errors import RecordError, SettingError, ShapeError
from modelwright.guard.metrics import auroc, fpr95
from modelwright.guard.rows import Array, Floats, Labels
from modelwright.guard.training import METHODS
from modelwright.guard.training.body import Perceptron
from modelwright.guard.training.method import Method, Verdict
from modelwright.guard.training.samples import Samples, apart
from modelwright.records import EpochTrial, GuardRecord, HeadRecord, Value
from modelwright.registry import Registry

_ROWS = 1024
_LEAST = float(np.finfo(np.float32).tiny)
_METHODS: Registry[type[Method]] = Registry("method", METHODS)


class Told(NamedTuple):
    """How well a score tells outliers of classes that were never seen."""

    auroc: float
    fpr95: float


@final
@dataclass(frozen=True, eq=False)
class Trained:
    """A method and its networks as they were at the best epoch.

    Attributes:
        method: its settings.
        networks: in the mode of evaluation.
        classes: familiar ones.
        groups: outlier classes that were learned from.
        rows: familiar samples that it was trained on.
        epoch: at which they were taken, from 1.
        score: name of the score that told validation outliers best, at that epoch.
        epochs: how each did.
        seen: outlier classes that were learned from or chosen on.
    """

    method: Method
    networks: tuple[nn.Module, ...]
    classes: int
    groups: int
    rows: int
    epoch: int
    score: str
    epochs: tuple[EpochTrial, ...]
    seen: frozenset[int]

    def verdict(self, inputs: Tensor) -> Verdict:
        """Probabilities (n, k) and scores (n,) by name; NaN for inputs with a number that is not finite."""
        sound = torch.isfinite(inputs.flatten(1)).all(1)
        clean = torch.where(sound.view(-1, *[1] * (inputs.ndim - 1)), inputs, torch.zeros_like(inputs))
        found = asked(self.method, self.networks, clean, self.classes)
        chances = torch.where(sound[:, None], found.probabilities, torch.nan)
        return Verdict(chances, {name: torch.where(sound, score, torch.nan) for name, score in found.scores.items()})

    def scored(self, inputs: Tensor) -> Floats:
        """(n,) the chosen score."""
        return _numbers(self.verdict(inputs).scores[self.score])

    def told(self, familiar: Samples, outliers: Samples) -> dict[str, Told]:
        """How well each of its scores tells outliers of other classes from familiar samples, by name.

        Raises:
            SettingError: an outlier class was learned from or chosen on.
        """
        apart(self.seen, outliers.classes, "training or validation", "test")
        here, there = self.verdict(familiar.inputs), self.verdict(outliers.inputs)
        flags = np.arange(len(familiar) + len(outliers)) >= len(familiar)
        joined = {name: torch.cat([here.scores[name], there.scores[name]]).cpu().numpy() for name in here.scores}
        return {name: Told(auroc(flags, score), fpr95(flags, score)) for name, score in joined.items()}

    @property
    def body(self) -> Perceptron:
        """Of its networks, which are heads on features.

        Raises:
            SettingError: they are not.
        """
        body = next(self.networks[0].children())
        if not isinstance(body, Perceptron):
            way_out = "Keep the network by its own means, and train the method on its features."
            rule = "a guard keeps a method that was trained on features (n, d)"
            raise SettingError(rule, where="body", value=type(body).__name__, way_out=way_out)
        return body

    def read(self, features: Array) -> Floats:
        """Features (n, d) in float64.

        Raises:
            ShapeError: they have another width, or are no numbers.
        """
        try:
            wide = np.asarray(features, np.float64)
        except (TypeError, ValueError) as failure:
            raise ShapeError(f"features must be a table of numbers ({failure})", where="features") from failure
        if wide.ndim != 2 or wide.shape[1] != self.body.width:
            raise ShapeError(f"features must be (n, {self.body.width})", where="features", value=wide.shape)
        return wide

    def judge(self, features: Array) -> tuple[Floats, Floats]:
        """Logits (n, k), which are the logarithms of its probabilities, and the chosen score (n,), of features (n, d).

        NaN for rows with a number that is not finite.

        Raises:
            ShapeError: features of another width, or no numbers.
        """
        wide = self.read(features)
        if not len(wide):
            return np.empty((0, self.classes)), np.empty(0)
        device = next(self.networks[0].parameters()).device
        with np.errstate(over="ignore"):  # what is too large for float32 is infinite there, and has no score
            found = self.verdict(torch.from_numpy(wide.astype(np.float32)).to(device))
        return np.log(np.maximum(_numbers(found.probabilities), _LEAST)), _numbers(found.scores[self.score])

    def only(self, kept: Labels) -> "Trained":
        """The same for some of the familiar classes, the logits of the others left out."""
        columns = [*kept.tolist(), *range(self.classes, self.method.outputs(self.classes, self.groups))]
        networks = tuple(_narrowed(network, columns) for network in self.networks)
        return dataclasses.replace(self, networks=networks, classes=len(kept))

    @property
    def name(self) -> str:
        """Of the method.

        Raises:
            SettingError: it is in no catalogue, so that a saved guard could not find it.
        """
        address = f"{type(self.method).__module__}:{type(self.method).__qualname__}"
        for name, row in _METHODS.rows.items():
            if row == address:
                return name
        rule = "a guard's method must be one of METHODS"
        raise SettingError(rule, where="method", value=type(self.method).__qualname__)

    @property
    def settings(self) -> dict[str, Value]:
        """Of the method; `type(method)(**settings)` is the same again."""
        return dataclasses.asdict(self.method)  # type: ignore[call-overload, no-any-return]  # every method is a dataclass

    @property
    def record(self) -> HeadRecord:
        """All else, but the arrays."""
        body = self.body
        return HeadRecord(
            score=self.score,
            epoch=self.epoch,
            groups=self.groups,
            seen=tuple(sorted(self.seen)),
            hidden=body.hidden,
            depth=body.depth,
            dropout=body.dropout,
            epochs=self.epochs,
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The networks' numbers, for a file; `restored` makes them networks again."""
        return {
            f"{member}.{name}": np.ascontiguousarray(values.cpu().numpy())
            for member, network in enumerate(self.networks)
            for name, values in network.state_dict().items()
        }


def restored(record: GuardRecord, arrays: Mapping[str, NDArray[Any]], where: str = "head") -> Trained:
    """The trained head of a guard that was saved.

    Args:
        record: whose head is there.
        arrays: of `Trained.arrays`.
        where: the file that they come from.

    Raises:
        UnknownNameError: its method is not known here.
        SettingError: the method has other settings here.
        RecordError: the arrays are not those of such a head.
    """
    head = record.head
    if head is None:
        raise RecordError("the record must be of a trained head", where=where, value=record.detector)
    try:
        method = _METHODS[record.detector](**record.settings)
    except TypeError as failure:
        rule = f"a method must have the setting ({failure})"
        raise SettingError(rule, where=record.detector, value=record.settings) from failure
    networks, zeros = [], torch.zeros(record.width)
    with torch.random.fork_rng(devices=[]):
        for member in range(method.members):
            body = Perceptron(zeros, zeros, head.hidden, head.depth, head.dropout)
            network = method.network(body, head.hidden, len(record.classes), head.groups)
            start = f"{member}."
            own = {name.removeprefix(start): torch.from_numpy(np.array(values)) for name, values in arrays.items()
                   if name.startswith(start)}  # fmt: skip
            try:
                network.load_state_dict(own)
            except RuntimeError as failure:  # torch's, where names or shapes differ
                rule = f"the arrays must be those of the head ({' '.join(str(failure).split())[:200]})"
                raise RecordError(rule, where=where, way_out="Fit the guard again.") from failure
            networks.append(network.eval().requires_grad_(False))
    return Trained(
        method=method,
        networks=tuple(networks),
        classes=len(record.classes),
        groups=head.groups,
        rows=record.fitted,
        epoch=head.epoch,
        score=head.score,
        epochs=head.epochs,
        seen=frozenset(head.seen),
    )


def asked(method: Method, networks: Sequence[nn.Module], inputs: Tensor, classes: int) -> Verdict:
    """What a method's networks say of inputs, some rows at a time."""
    with torch.no_grad():
        parts = [method.verdict(networks, part, classes) for part in torch.split(inputs, _ROWS)]
    scores = {name: torch.cat([part.scores[name] for part in parts]) for name in parts[0].scores}
    return Verdict(torch.cat([part.probabilities for part in parts]), scores)


def _narrowed(network: nn.Module, columns: Sequence[int]) -> nn.Module:
    """A copy whose last linear layer makes some of the logits."""
    made = copy.deepcopy(network)
    *_, last = (part for part in made.modules() if isinstance(part, nn.Linear))
    for name, values in list(last.named_parameters(recurse=False)):
        setattr(last, name, nn.Parameter(values[list(columns)], requires_grad=False))
    last.out_features = len(columns)
    return made


def _numbers(values: Tensor) -> Floats:
    return np.asarray(values.cpu().numpy(), np.float64)
