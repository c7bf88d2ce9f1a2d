"""Moderators and a model together: which tweets people look at, and how many of the model's errors they meet.

    python benchmarks/quality/guard_moderation.py ../shared/data/text/hate_speech_and_offensive_language [--splits 10]

Tweets of Davidson, Warmsley, Macy, Weber, 2017, arXiv 1703.04009; offensive text, never shown here. The class is
whether most annotators found hate speech or offensive language; a reviewer errs on a tweet as often as its annotators
disagreed with most of them. The classifier is a logistic regression on TF-IDF, of scikit-learn's usual strength, 1, and
of 10, which fits these data better. Mix and shift were chosen as families while looking at a draw of all rows.

Half of the rows (by a fixed draw) are the set "open", the others the set "aside": this script was made, and run once,
before results of the latter were looked at. The set "all" has both, for comparison with others' figures. Each split
draws half of a set for the classifier, a quarter to fit mix and shift, and a quarter for the test. Splits share rows,
so that their standard error is one of the draws, not of new tweets.

Writes `guard-moderation-DEVICE.csv`: share of errors caught and collaborative figures, with perfect reviewers and with
those that err, of each policy at several shares reviewed. Unfamiliarity is the score of the nearest neighbours.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas
import torch
from guard_tables import write
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from modelwright.guard.calibration import temperature_of
from modelwright.guard.collaborative import (
    collaborative_accuracy,
    collaborative_auprc,
    collaborative_auroc,
    review_effectiveness,
    review_efficiency,
)
from modelwright.guard.detectors.knn import Knn
from modelwright.guard.mix import fit_mix
from modelwright.guard.rows import Floats
from modelwright.guard.shift import fit_shift

SETS = ("open", "aside", "all")
SHARES = (0.01, 0.05, 0.1, 0.15, 0.2)
STRENGTHS = (1.0, 10.0)
"""Of the classifier's fit: 1 / the weight of the squared norm."""
WIDTH = 100
"""Of the features that neighbours are sought by."""

Row = dict[str, object]
Numbers = NDArray[np.int64]


class Tweets:
    """Texts, classes and how often annotators disagreed with them."""

    def __init__(self, folder: Path) -> None:
        table = pandas.read_csv(folder / "labeled_data.csv")
        self.texts = table["tweet"].to_numpy()
        self.offensive = (table["class"] != 2).to_numpy()
        neither = (table["neither"] / table["count"]).to_numpy(np.float64)
        self.disagreement: Floats = np.where(self.offensive, neither, 1.0 - neither)

    def sets(self) -> dict[str, Numbers]:
        """The rows of both halves, and all."""
        order = np.random.default_rng(20).permutation(len(self.texts))
        return {"open": np.sort(order[::2]), "aside": np.sort(order[1::2]), "all": np.sort(order)}


class Split:
    """One draw of a set in three parts, with words as numbers."""

    def __init__(self, tweets: Tweets, rows: Numbers, seed: int) -> None:
        order = np.random.default_rng(seed).permutation(rows)
        self.parts = np.split(order, (len(rows) // 2, 3 * len(rows) // 4))
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2).fit(tweets.texts[self.parts[0]])
        self.counts = [words.transform(tweets.texts[part]) for part in self.parts]
        self.offensive = [tweets.offensive[part] for part in self.parts]
        self.disagreement = tweets.disagreement[self.parts[2]]
        reduced = TruncatedSVD(WIDTH, random_state=0).fit(self.counts[0])
        wide = [reduced.transform(part) for part in self.counts]
        empty = [np.zeros((len(part), 2)) for part in wide]  # neighbours need no logits
        near = Knn().fit(wide[0], empty[0], self.offensive[0].astype(np.int64))
        self.strange = [near.score(*pair) for pair in zip(wide[1:], empty[1:], strict=True)]

    def logits(self, strength: float) -> list[Floats]:
        """Of being offensive, in the two later parts."""
        model = LogisticRegression(C=strength, max_iter=500).fit(self.counts[0], self.offensive[0])
        return [model.decision_function(part) for part in self.counts[1:]]


def policies(wrong: NDArray[np.bool_], logits: list[Floats], strange: list[Floats]) -> dict[str, Floats]:
    """Priorities in the test, by name; what is fitted is fitted on the part before.

    Args:
        wrong: in that part.
        logits: of both parts, calibrated.
        strange: unfamiliarity of both.
    """
    both = [expit(one) for one in logits]
    doubt = [np.minimum(one, 1.0 - one) for one in both]
    toxic, unfamiliar = fit_mix(doubt[0], both[0], wrong), fit_mix(doubt[0], strange[0], wrong)
    return {
        "uncertainty": doubt[1],
        "toxicity": both[1],
        "mix with toxicity": toxic.priority(doubt[1], both[1]),
        "shift": fit_shift(both[0], wrong).priority(both[1]),
        "unfamiliarity": strange[1],
        "mix with unfamiliarity": unfamiliar.priority(doubt[1], strange[1]),
    }


def told(split: Split, strength: float) -> Iterator[Row]:
    """What comes of one split with one classifier."""
    found = split.logits(strength)
    wrong_before, wrong = ((one > 0) != truth for one, truth in zip(found, split.offensive[1:], strict=True))
    pairs = np.stack([np.zeros(len(found[0])), found[0]], 1)
    temperature = temperature_of(pairs, split.offensive[1].astype(np.int64))
    truth, score, error = split.offensive[2], found[1], split.disagreement
    logits = [one / temperature for one in found]
    named = {"strength": f"{strength:g}", "errors": int(wrong.sum())}
    for policy, priority in policies(wrong_before, logits, split.strange).items():
        for share in SHARES:
            figures = {
                "caught": review_effectiveness(wrong, priority, share),
                "efficiency": review_efficiency(wrong, priority, share),
                "accuracy": collaborative_accuracy(wrong, priority, share),
                "auroc": collaborative_auroc(truth, score, priority, share),
                "auprc": collaborative_auprc(truth, score, priority, share),
                "accuracy_fallible": collaborative_accuracy(wrong, priority, share, error),
                "auroc_fallible": collaborative_auroc(truth, score, priority, share, error),
                "alone_accuracy": 1.0 - wrong.mean(),
                "alone_auroc": collaborative_auroc(truth, score, priority, 0.0),
                "reviewers_error": error.mean(),
            }
            yield {**named, "policy": policy, "share": share, **{key: f"{one:.5f}" for key, one in figures.items()}}


def main() -> None:
    """Set by set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of labeled_data.csv")
    parser.add_argument("--sets", nargs="*", default=SETS, choices=SETS)
    parser.add_argument("--splits", type=int, default=10)
    given = parser.parse_args()
    torch.set_num_threads(1)
    tweets = Tweets(given.data)
    sets = tweets.sets()
    for name in given.sets:
        found: list[Row] = []
        for seed in range(given.splits):
            split = Split(tweets, sets[name], seed)
            found += [{"set": name, "split": seed, **row} for one in STRENGTHS for row in told(split, one)]
            print(f"{name}, split {seed}", file=sys.stderr, flush=True)
        write("guard-moderation", found, ("set", "split"))


if __name__ == "__main__":
    main()
