"""Platform-aware search: spaces, objectives, algorithms, and studies that survive what happens to their process."""

__all__: list[str] = []
