"""What is kept: a journal that only grows, from which all state is told. Imports no torch."""

__all__: list[str] = []
