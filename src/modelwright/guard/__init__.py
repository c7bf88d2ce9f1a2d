"""Guard: models that know when they do not know, and hand over to people."""

__all__: list[str] = []
