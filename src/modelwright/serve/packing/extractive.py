"""Summaries of a text's own sentences: extractive. LexRank chooses them (Erkan, Radev, 2004, arXiv 1109.2128).

This file is the code/inference.py of a packed model: it needs numpy, and nothing of Modelwright, no network and no
download. A call is {"inputs": a text or a list of texts, "parameters": {"sentences": 3}} in JSON, or a text as
text/plain. The answer is [{"summary_text": ..., "method": "extractive"}], one for each text.

Sentences are the nodes of a graph; two are joined where the cosine of their words, weighted by the inverse document
frequency, is above a threshold. A sentence is central as far as central sentences are joined to it: its rank is its
share of a random walk, which jumps anywhere with a small probability d,

    p(u) = d / N + (1 - d) * sum over v joined to u of p(v) / degree(v).

In the paper a sentence is joined to itself, too, and one that is like no other has the average rank. Here it is not,
and its walk goes on anywhere, so that it ranks last.
"""

import json
import math
import re
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

SENTENCES = 3
"""Of a summary, unless the parameters say otherwise."""

THRESHOLD = 0.1
DAMPING = 0.15
"""Cosine above which sentences are joined, and the probability of a jump, as in the paper."""

MOST_SENTENCES = 3000
"""Of a text that is ranked: the graph takes room and time by its square."""

_SHORT = (
    "mr mrs ms dr prof sr jr st vs etc e.g i.e fig no vol inc ltd co corp dept est approx jan feb mar apr "
    "jun jul aug sep sept oct nov dec u.s u.k gen col lt sgt rev hon gov sen rep bzw ca z.b d.h nr usw p "
    "pp ed eds al cf"
)
ABBREVIATIONS = frozenset(_SHORT.split())
"""Words before a full stop that ends no sentence, in small letters."""

_OPENING = "\"'([\u00ab\u2018\u201c"
_CLOSING = "\"')\\]\u00bb\u2019\u201d"
_END = re.compile(
    rf"[.!?\u2026]+[{_CLOSING}]*(?=\s+[{re.escape(_OPENING)}]*[^\W_a-z\u00df-\u00ff])"  # before a capital or a digit
    "|[\u3002\uff01\uff1f]+[\u300d\u300f\u201d]?"  # of Chinese and Japanese, where no space follows
    r"|\n\s*\n"
)
_WORD = re.compile("[^\\W_]+(?:['\u2019-][^\\W_]+)*")


def split(text: str) -> list[str]:
    """The sentences of a text, in order: they end before a capital, a digit or an empty line, but for abbreviations."""
    found, start = [], 0
    for end in _END.finditer(text):
        last = text[start : end.start()].rpartition(" ")[2].lower().lstrip(_OPENING)
        initial = len(last) == 1 and last.isalpha()
        if end.group().startswith(".") and (last in ABBREVIATIONS or initial):
            continue
        found.append(" ".join(text[start : end.end()].split()))
        start = end.end()
    found.append(" ".join(text[start:].split()))
    return [sentence for sentence in found if sentence]


def words(sentence: str) -> list[str]:
    """The words of a sentence, in small letters."""
    return _WORD.findall(sentence.lower())


def rank(sentences: list[list[str]], threshold: float = THRESHOLD, damping: float = DAMPING) -> NDArray[np.float64]:
    """LexRank: of each sentence, a list of words, its share of the random walk; (n,), they add up to 1."""
    count = len(sentences)
    documents = Counter(word for sentence in sentences for word in set(sentence))
    column = {word: place for place, word in enumerate(sorted(documents))}
    idf = {word: math.log(count / times) + 1.0 for word, times in documents.items()}
    norms = np.zeros(count)
    holders: list[list[tuple[int, float]]] = [[] for _ in column]
    for row, sentence in enumerate(sentences):
        for word, times in Counter(sentence).items():
            weight = times * idf[word]
            holders[column[word]].append((row, weight))
            norms[row] += weight * weight
    likeness = np.zeros((count, count), np.float32)
    for held in holders:
        rows = np.array([row for row, _ in held])
        weights = np.array([weight for _, weight in held], np.float32)
        likeness[np.ix_(rows, rows)] += np.outer(weights, weights)
    scale = np.sqrt(np.where(norms > 0, norms, 1.0)).astype(np.float32)
    likeness /= np.outer(scale, scale)
    joined = likeness > threshold
    np.fill_diagonal(joined, False)
    degree = joined.sum(1, keepdims=True)
    walk = np.where(degree > 0, joined / np.maximum(degree, 1), 1.0 / count)
    shares = np.full(count, 1.0 / count)
    for _ in range(1000):
        moved: NDArray[np.float64] = damping / count + (1.0 - damping) * (shares @ walk)
        if np.abs(moved - shares).sum() < 1e-9:
            return moved
        shares = moved
    return shares


def summarize(text: str, sentences: int = SENTENCES) -> str:
    """The most central sentences of a text in the order of the text; of equals, the first."""
    found = split(text)[:MOST_SENTENCES]
    if len(found) <= sentences:
        return " ".join(found)
    shares = rank([words(sentence) for sentence in found])
    best = np.argsort(-np.round(shares, 9), kind="stable")[:sentences]
    return " ".join(found[place] for place in sorted(best))


def model_fn(model_dir: str) -> None:
    """There is nothing to load."""


def input_fn(body: bytes | str, content_type: str) -> dict[str, Any]:
    """The payload.

    Raises:
        ValueError: it is not what the head of this file says.
    """
    text = body if isinstance(body, str) else bytes(body).decode()
    payload = {"inputs": text} if content_type.startswith("text/plain") else json.loads(text)
    parameters = (payload.get("parameters") or {}) if isinstance(payload, dict) else None
    if not isinstance(payload, dict) or not isinstance(parameters, dict):
        raise ValueError('a call must be {"inputs": ..., "parameters": {...}}')
    texts = payload.get("inputs")
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise ValueError("inputs must be a text, or a list of texts")
    sentences = parameters.get("sentences", SENTENCES)
    if not isinstance(sentences, int) or isinstance(sentences, bool) or sentences < 1:
        raise ValueError("sentences must be a whole number of 1 or more")
    return {"inputs": texts, "sentences": sentences}


def predict_fn(data: dict[str, Any], model: None) -> list[dict[str, str]]:
    """A summary of each text."""
    return [{"summary_text": summarize(text, data["sentences"]), "method": "extractive"} for text in data["inputs"]]


def output_fn(prediction: list[dict[str, str]], accept: str) -> tuple[str, str]:
    """The answer as JSON, or the bare texts where text/plain is accepted."""
    if accept.startswith("text/plain"):
        return "\n".join(one["summary_text"] for one in prediction), "text/plain; charset=utf-8"
    return json.dumps(prediction, ensure_ascii=False), "application/json"
