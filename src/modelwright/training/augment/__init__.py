"""Augmentation of whole batches: images are uint8 tensors of (N, C, H, W), randomness comes from a generator."""
