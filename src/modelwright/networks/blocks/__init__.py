"""Building blocks: one torch module for each kind of record, made by `networks.build`."""
