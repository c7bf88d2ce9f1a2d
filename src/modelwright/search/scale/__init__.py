"""Latency-aware compound scaling (LACS of EfficientNet-X, Li et al., 2021, arXiv 2102.05610)."""
