"""What is measured and how: the setting of one subject, the protocol that all of them share."""

import re
from typing import Annotated, Literal, cast

import msgspec

from modelwright.errors import SettingError
from modelwright.records.platform import Count, Execution, Policy, Positive

Whole = Annotated[int, msgspec.Meta(ge=0)]

_ON_CUDA_ONLY = {"tf32": "fp32", "fp16": "bf16", "amp": "amp-bf16"}
"""Precision -> the one to take on a CPU instead."""


class Setting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way of running a network.

    Attributes:
        batch: samples a call.
        precision: fp32, tf32, bf16, fp16: the whole network in it; amp (fp16), amp-bf16: torch.autocast.
        execution: eager; compiled (torch.compile); graph (compiled, then captured in a CUDA graph and replayed).
        channels_last: four-axis weights and inputs lie in memory as N,H,W,C.
        device: "cpu", "cuda" or "cuda:N".
        threads: CPU threads, 0 for as many as torch takes.
    """

    batch: Count = 1
    precision: Policy = "fp32"
    execution: Execution = "eager"
    channels_last: bool = False
    device: str = "cpu"
    threads: Whole = 0

    @property
    def kind(self) -> Literal["cpu", "cuda"]:
        """The device's kind, without its number."""
        return cast(Literal["cpu", "cuda"], self.device.partition(":")[0])

    def __str__(self) -> str:
        order = " channels-last" if self.channels_last else ""
        return f"batch {self.batch} {self.precision} {self.execution}{order} on {self.device}"


class Protocol(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How measurements are taken: rounds over all subjects, each subject once a round, so that drift meets all alike.

    Attributes:
        repetitions: rounds that count.
        warmup: rounds before them that do not.
        minimum_s: seconds that one repetition should last at least; the calls it takes are found beforehand.
        settle: calls before each repetition that are not timed, so that caches hold this subject's data again.
        seed: of weights and inputs.
    """

    repetitions: Count = 15
    warmup: Whole = 3
    minimum_s: Positive = 0.05
    settle: Whole = 1
    seed: int = 0


def check(setting: Setting) -> None:
    """Refuse what cannot be measured, by the words alone; whether the device is there is another question.

    Raises:
        SettingError: names the option, the rule and the way out.
    """
    if not re.fullmatch(r"cpu|cuda(:\d+)?", setting.device):
        rule = "the device must be cpu, cuda or cuda:N"
        raise SettingError(rule, where="device", value=setting.device, way_out="Other devices cannot be measured.")
    if setting.batch < 1:
        raise SettingError("the batch must be at least 1", where="batch", value=setting.batch)
    if setting.threads < 0:
        way_out = "0 takes as many as torch does."
        raise SettingError("the number of threads must not be negative", value=setting.threads, way_out=way_out)
    if setting.precision in ("int8", "fp8"):
        rule = "a module is measured in a floating-point precision of at least 16 bits"
        way_out = "Choose fp32, tf32, bf16, fp16, amp or amp-bf16."
        raise SettingError(rule, where="precision", value=setting.precision, way_out=way_out)
    if setting.kind == "cpu" and setting.precision in _ON_CUDA_ONLY:
        way_out = f"Take {_ON_CUDA_ONLY[setting.precision]}, or --device cuda."
        rule = "this precision is measured on CUDA devices only"
        raise SettingError(rule, where="precision", value=setting.precision, way_out=way_out)
    _check_execution(setting)


def _check_execution(setting: Setting) -> None:
    if setting.execution == "engine":
        raise SettingError(
            "an execution must be one that torch runs itself",
            where="execution",
            value=setting.execution,
            way_out="Take compiled or graph; XLA, TensorRT and OpenVINO engines are timed with their own tools.",
        )
    if setting.execution == "graph" and setting.kind == "cpu":
        way_out = "Take compiled, or --device cuda."
        raise SettingError("only CUDA captures graphs", where="execution", value=setting.execution, way_out=way_out)
