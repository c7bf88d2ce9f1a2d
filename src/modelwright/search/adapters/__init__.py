"""Other libraries' samplers behind our own face, so that anyone can compare; each needs its library installed."""

__all__: list[str] = []
