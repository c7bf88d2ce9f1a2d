"""Packing models: model.tar.gz from folders, and two summarizers' scripts.

`generative.py` and `extractive.py` are copied into archives as code/inference.py; they import nothing of Modelwright.
"""

from modelwright.serve.packing.archive import SCRIPTS, pack

__all__ = ["SCRIPTS", "pack"]
