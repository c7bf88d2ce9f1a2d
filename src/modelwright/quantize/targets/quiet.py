"""Exporters and compilers without their chatter."""

import contextlib
import logging
import warnings
from collections.abc import Iterator

TALKERS = (
    "torch._dynamo", "torch._export", "torch._inductor", "torch.export", "torch.fx.experimental.symbolic_shapes",
    "torch.onnx", "torch.utils._pytree", "torchao", "onnx_ir", "onnxscript",
)  # fmt: skip


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what packages say of themselves: parts that are not needed, their own future, steps that went well."""
    loggers = [logging.getLogger(name) for name in TALKERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
