"""How to run a network from each of its formats, in a few lines of Python that work as they stand in its folder."""

from modelwright.records import DataCard
from modelwright.search.handover.manifest import FILES


def snippets(data: DataCard) -> dict[str, str]:
    """Title -> code, for a batch of four samples."""
    shape = ", ".join(map(str, (4, *data.shape)))
    kind = "uint8" if len(data.shape) == 3 else "int64"
    word = "images" if len(data.shape) == 3 else "tokens"
    told = "N, C, H, W; pixels from 0 to 255" if len(data.shape) == 3 else "N, length; token numbers"
    return {
        "Record and weights, with Modelwright": f"""\
from pathlib import Path
import torch
from modelwright.search.handover import load_member
network = load_member(Path("."))  # holds every file against the manifest first
{word} = torch.zeros({shape}, dtype=torch.{kind})  # {told}
print(network({word}).argmax(-1))""",
        "Program, with torch alone": f"""\
import torch
program = torch.export.load("{FILES["program"]}").module()
{word} = torch.zeros({shape}, dtype=torch.{kind})  # {told}
print(program({word}).argmax(-1))""",
        "ONNX, with ONNX Runtime": f"""\
import numpy as np
import onnxruntime
session = onnxruntime.InferenceSession("{FILES["onnx"]}", providers=["CPUExecutionProvider"])
{word} = np.zeros(({shape}), np.{kind})  # {told}
[logits] = session.run(None, {{"{word}": {word}}})
print(logits.argmax(-1))""",
    }
