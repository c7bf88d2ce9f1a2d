"""Keeping what libraries say of their own insides off the terminal."""

import logging
import warnings


def hush() -> None:
    """Let through errors only of what quantizes, and no word on the future of torch's own parts."""
    for name in ("torchao", "torch.utils._pytree"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="copyreg")
