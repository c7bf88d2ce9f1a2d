"""What makes a network lose less by quantization: one paper, one file.

Each is a function of a captured graph, a recipe and batches of inputs; it changes the graph's parameters in place and
returns notes: what was done, or why nothing could be.
"""
