"""The formats of a network: how each is written, and how it is run again from its file.

All hold the same function, a `Classifier`, in fp32. Graphs are kept free of stack traces, which would tell users where
on whose machine the source lay.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from safetensors.torch import save

from modelwright.records import Architecture, DataCard, from_json, to_json, write_whole
from modelwright.search.handover.classifier import Classifier
from modelwright.search.handover.load import read_classifier
from modelwright.search.handover.manifest import FILES
from modelwright.store import digest
from modelwright.training.weights import weights_of

Run = Callable[[torch.Tensor], torch.Tensor]

OPSET = 20
"""Of ONNX: the first with Gelu, 2023; ONNX Runtime reads it from 1.17 on."""

BATCHES = (1, 3)
"""Batches that formats are checked with. Neither is that of the example which is traced, lest a file has it fixed."""

_EXAMPLE = 2
_CHATTER = ("torch.export", "torch.onnx", "torch.fx.experimental.symbolic_shapes", "onnxscript", "onnx_ir")


def write_weights(classifier: Classifier, architecture: Architecture, folder: Path) -> None:
    """The record and the weights, whose metadata tell which record they belong to.

    Raises:
        OSError: the place cannot be written.
    """
    record = to_json(architecture)
    write_whole(folder / FILES["architecture"], record)
    tensors = {name: value.detach().contiguous() for name, value in weights_of(classifier.network).items()}
    about = {"architecture": architecture.name, "architecture_sha256": digest(record)}
    write_whole(folder / FILES["weights"], save(tensors, about))


def export(classifier: Classifier) -> torch.export.ExportedProgram:
    """The classifier as a graph with a free batch.

    Raises:
        Exception: whatever the modules' own code and torch.export raise.
    """
    batch = torch.export.Dim("batch", min=1)
    with quiet(), torch.no_grad():
        program = torch.export.export(classifier, (classifier.draw(_EXAMPLE),), dynamic_shapes=({0: batch},))
    for graph in (part.graph for part in program.graph_module.modules() if isinstance(part, torch.fx.GraphModule)):
        for node in graph.nodes:
            node.meta.pop("stack_trace", None)
    return program


def write_program(program: torch.export.ExportedProgram, folder: Path) -> None:
    """For `torch.export.load`.

    Raises:
        OSError: the place cannot be written.
    """
    file = io.BytesIO()  # torch tells a full disk by an error of its own; bytes are written as all other files are
    with quiet():
        torch.export.save(program, file)
    write_whole(folder / FILES["program"], file.getvalue())


def write_onnx(program: torch.export.ExportedProgram, classifier: Classifier, folder: Path) -> None:
    """For ONNX Runtime and its like: one file of opset `OPSET`, its weights inside, checked against ONNX's own rules.

    Raises:
        OSError: the place cannot be written.
        Exception: whatever the exporter and the checker raise.
    """
    with quiet():
        made = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[classifier.input_name],
            output_names=["logits"],
            dynamic_shapes=({0: "batch"},),
        )
    if made is None:
        raise RuntimeError("torch.onnx.export returned nothing")
    model = made.model_proto
    onnx.checker.check_model(model, full_check=True)
    write_whole(folder / FILES["onnx"], model.SerializeToString())


def run_weights(folder: Path, data: DataCard) -> Run:
    """The classifier built anew from record and weights."""
    record = from_json((folder / FILES["architecture"]).read_bytes(), Architecture)
    return read_classifier(folder, record, data)


def run_program(folder: Path) -> Run:
    """The program, as torch alone runs it."""
    with quiet():
        module: Run = torch.export.load(folder / FILES["program"]).module()
    return module


def run_onnx(folder: Path) -> Run:
    """The ONNX file on ONNX Runtime's CPU provider, with as many threads as torch has."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors only
    session: Any = onnxruntime.InferenceSession(folder / FILES["onnx"], options, providers=["CPUExecutionProvider"])
    [name] = [found.name for found in session.get_inputs()]

    def run(samples: torch.Tensor) -> torch.Tensor:
        [logits] = session.run(None, {name: samples.numpy()})
        return torch.from_numpy(np.asarray(logits))

    return run


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Exporters without their chatter: packages that are not needed, torch's own future, whole graphs that failed."""
    loggers = [logging.getLogger(name) for name in _CHATTER]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
