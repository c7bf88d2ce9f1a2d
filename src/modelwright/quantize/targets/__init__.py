"""Targets: runtimes that a quantized network is written for and run by, one file each."""
