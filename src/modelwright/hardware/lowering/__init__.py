"""From architectures to kernels without a framework: operators written once, their shapes as columns over many networks."""
