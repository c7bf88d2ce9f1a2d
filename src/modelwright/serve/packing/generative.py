"""Summaries that a sequence-to-sequence network writes, such as PEGASUS (2019, arXiv 1912.08777).

This file is the code/inference.py of a packed model: it needs torch and transformers, and nothing of Modelwright. A
call is {"inputs": a text or a list of texts, "parameters": {...}} in JSON, or a text as text/plain; parameters are
those of transformers' generate(). The answer is [{"summary_text": ...}], one for each text.
"""

import json
from typing import Any

MOST_TOKENS = 128
"""New tokens of a summary, unless the parameters say otherwise."""


def model_fn(model_dir: str) -> tuple[Any, Any]:
    """Tokenizer and network of the model's folder, on a GPU where there is one."""
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    network = AutoModelForSeq2SeqLM.from_pretrained(model_dir).eval()
    return AutoTokenizer.from_pretrained(model_dir), network.to("cuda" if torch.cuda.is_available() else "cpu")


def input_fn(body: bytes | str, content_type: str) -> dict[str, Any]:
    """The payload.

    Raises:
        ValueError: it is not what the head of this file says.
    """
    text = body if isinstance(body, str) else bytes(body).decode()
    payload = {"inputs": text} if content_type.startswith("text/plain") else json.loads(text)
    if not isinstance(payload, dict) or not isinstance(payload.get("parameters") or {}, dict):
        raise ValueError('a call must be {"inputs": ..., "parameters": {...}}')
    texts = payload.get("inputs")
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not texts or not all(isinstance(one, str) for one in texts):
        raise ValueError("inputs must be a text, or a list of texts")
    return {"inputs": texts, "parameters": payload.get("parameters") or {}}


def predict_fn(data: dict[str, Any], model: tuple[Any, Any]) -> list[dict[str, str]]:
    """A summary of each text; texts that are longer than the network reads are cut."""
    import torch

    tokenizer, network = model
    parameters = dict(data["parameters"])
    if not {"max_length", "max_new_tokens"} & parameters.keys():
        parameters["max_new_tokens"] = MOST_TOKENS
    tokens = tokenizer(
        data["inputs"], truncation=True, padding=True, return_tensors="pt", return_token_type_ids=False
    ).to(network.device)
    with torch.inference_mode():
        made = network.generate(**tokens, **parameters)
    return [{"summary_text": text.strip()} for text in tokenizer.batch_decode(made, skip_special_tokens=True)]


def output_fn(prediction: list[dict[str, str]], accept: str) -> tuple[str, str]:
    """The answer as JSON, or the bare texts where text/plain is accepted."""
    if accept.startswith("text/plain"):
        return "\n".join(one["summary_text"] for one in prediction), "text/plain; charset=utf-8"
    return json.dumps(prediction, ensure_ascii=False), "application/json"
