"""scikit-learn's digits: 1,797 grey images of 8x8 pixels, ten classes (Alpaydin and Kaynak, UCI, 1998)."""

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

from modelwright.training.data.data import Data, assemble
from modelwright.training.data.split import Held


def digits(folder: Path | None = None, seed: int = 0) -> Data:
    """The digits that come with scikit-learn; their 17 levels of grey are spread over 0 to 255.

    Args:
        folder: not needed.
        seed: of the validation and test splits, for the set has none of its own.
    """
    pixels, labels = load_digits(return_X_y=True)
    grey = np.rint(pixels.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    split = Held(torch.from_numpy(grey), torch.from_numpy(labels.astype(np.int64)))
    return assemble("digits", tuple(map(str, range(10))), (1, 8, 8), {"train": split}, seed)
