"""What torch keeps for the whole process and a measurement must hold still: threads, fp32 products, gradients."""

import contextlib
from collections.abc import Iterator
from typing import Any, Literal

import torch

from modelwright.errors import SettingError
from modelwright.networks.measuring.setting import Setting

_BACKENDS: Any = torch.backends  # its modules turn into objects that the annotations do not know

_FP32 = (
    _BACKENDS.cuda.matmul,
    _BACKENDS.cudnn.conv,
    _BACKENDS.cudnn.rnn,
    _BACKENDS.mkldnn.matmul,
    _BACKENDS.mkldnn.conv,
    _BACKENDS.mkldnn.rnn,
)
"""Each library's switch for how it multiplies fp32 numbers."""


@contextlib.contextmanager
def ambience(setting: Setting) -> Iterator[None]:
    """Run under a setting's threads, fp32 products, device, and without gradients; put everything back afterwards.

    fp32 products are IEEE's on both devices, whatever the process chose before; under tf32 a CUDA device rounds their
    inputs. A CPU never multiplies fp32 numbers as bf16 here.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_threads(setting.threads))
        stack.enter_context(_products("tf32" if setting.precision == "tf32" else "ieee"))
        stack.enter_context(torch.inference_mode())
        if setting.kind == "cuda":
            stack.enter_context(torch.cuda.device(torch.device(setting.device)))
        yield


def device_of(setting: Setting) -> torch.device:
    """The setting's device, with its number.

    Raises:
        SettingError: torch cannot reach that device.
    """
    if setting.kind == "cpu":
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    given = setting.device.partition(":")[2]
    number = int(given) if given else torch.cuda.current_device() if count else 0
    if number >= count:
        found = f"{count} CUDA device{'' if count == 1 else 's'}" if count else "no CUDA device"
        way_out = f"torch {torch.__version__} finds {found}; use {'cuda:0' if count else 'cpu'}."
        raise SettingError("the device must be one that torch can reach", value=setting.device, way_out=way_out)
    return torch.device("cuda", number)


@contextlib.contextmanager
def _threads(wanted: int) -> Iterator[None]:
    before = torch.get_num_threads()
    if wanted in (0, before):
        yield
        return
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _products(on_cuda: Literal["ieee", "tf32"]) -> Iterator[None]:
    """Set how fp32 numbers are multiplied, through the switches that torch.compile reads as well."""
    before, each = torch.get_float32_matmul_precision(), [holder.fp32_precision for holder in _FP32]
    torch.set_float32_matmul_precision("high" if on_cuda == "tf32" else "highest")
    _BACKENDS.cudnn.allow_tf32 = on_cuda == "tf32"
    try:
        for holder in _FP32[3:]:
            holder.fp32_precision = "ieee"
        if on_cuda == "ieee":
            for holder in _FP32[1:3]:  # unset, they follow a wider switch
                holder.fp32_precision = "none" if holder.fp32_precision != "tf32" else "ieee"
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        _BACKENDS.cudnn.allow_tf32 = each[1] == "tf32"
        for holder, value in zip(_FP32, each, strict=True):
            holder.fp32_precision = value
