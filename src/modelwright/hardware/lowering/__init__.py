"""From architectures to kernels without a framework: operators written once, with columns for shapes."""
