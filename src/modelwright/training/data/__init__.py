"""Data sets: labelled images of one size, split in three. The rows are followed when one is asked for."""

DATA = {
    "digits": "modelwright.training.data.digits:digits",
    "fashion-mnist": "modelwright.training.data.idx:fashion_mnist",
}
"""Data sets by name; each row leads to a function from (folder or None, seed) to `Data`."""

FORMATS = {
    "saved": "modelwright.training.data.saved:from_saved",
    "parquet": "modelwright.training.data.parquet:from_parquet",
    "idx": "modelwright.training.data.idx:from_idx",
    "classes": "modelwright.training.data.folder:from_folder",
}
"""Kinds of folders; each row leads to a function from (folder, seed) to `Data`."""

HUB = "modelwright.training.data.saved:from_hub"
"""What reads hf:NAME; a function from (name, seed) to `Data`."""

__all__ = ["DATA", "FORMATS", "HUB"]
