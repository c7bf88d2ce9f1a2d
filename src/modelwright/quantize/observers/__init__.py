"""Observers: what watches numbers pass and gives them a scale and a zero point, as torchao's PT2E takes them."""
