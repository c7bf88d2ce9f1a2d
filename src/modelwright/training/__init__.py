"""Data sets, the training loop and checkpoints."""

__all__: list[str] = []
