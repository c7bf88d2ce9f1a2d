"""Building blocks, model families, tracing and measuring: the lowest room with torch.

Only the names of architectures are imported here, which need no torch; `networks.build`, `networks.trace` and
`networks.measuring` hold the rest.
"""

from modelwright.networks.catalogue import architecture, architecture_names

__all__ = ["architecture", "architecture_names"]
