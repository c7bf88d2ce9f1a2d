"""Hugging Face models without a script, by the rules of Hugging Face's inference toolkit for SageMaker.

HF_TASK names the pipeline, or it follows from the architecture in config.json. HF_MODEL_ID names a model of the hub;
files in the model's folder go first. A payload is {"inputs": ..., "parameters": {...}}.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modelwright.errors import RecordError, SettingError
from modelwright.serve.instances.coding import CSV, JSON, TEXT, decode, kind_of

TASK = "HF_TASK"
MODEL_ID = "HF_MODEL_ID"
REVISION = "HF_MODEL_REVISION"
TRUST = "HF_TRUST_REMOTE_CODE"

TASKS: Mapping[str, str] = {
    "TapasForQuestionAnswering": "table-question-answering",
    "ForQuestionAnswering": "question-answering",
    "ForTokenClassification": "token-classification",
    "ForSequenceClassification": "text-classification",
    "ForMultipleChoice": "multiple-choice",
    "ForMaskedLM": "fill-mask",
    "ForCausalLM": "text-generation",
    "ForConditionalGeneration": "text2text-generation",
    "MTModel": "text2text-generation",
    "EncoderDecoderModel": "text2text-generation",
    "GPT2LMHeadModel": "text-generation",
    "T5WithLMHeadModel": "text2text-generation",
}
"""End of an architecture's name -> its task, as in the toolkit."""

GENERATED: Mapping[str, str] = {
    "summarization": "summary_text",
    "text2text-generation": "generated_text",
    "translation": "translation_text",
}
"""Tasks from text to text, whose pipelines transformers 5 has no more -> the key of their answers."""

MOST_TOKENS = 142
"""New tokens of an answer, unless the payload's parameters or the model's own configuration say otherwise."""


def is_hugging_face(folder: Path, environment: Mapping[str, str]) -> bool:
    """Whether a folder, or the environment, names a model that transformers loads."""
    if environment.get(MODEL_ID):
        return True
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and "model_type" in config


def load_pipeline(folder: Path, environment: Mapping[str, str]) -> Callable[..., Any]:
    """The pipeline of a model; called with inputs and parameters.

    Raises:
        SettingError: no task is named, and none follows from the model.
        Exception: whatever transformers raises.
    """
    from transformers import AutoConfig, pipeline

    local = (folder / "config.json").is_file()
    model = str(folder) if local else environment[MODEL_ID]
    options = {"revision": environment.get(REVISION) or None, "trust_remote_code": environment.get(TRUST) == "true"}
    task = environment.get(TASK) or task_of(AutoConfig.from_pretrained(model, **options).architectures or ())
    if task.startswith("translation"):
        task = "translation"
    if task in GENERATED:
        return _generator(model, GENERATED[task], options)
    made: Callable[..., Any] = pipeline(task, model=model, **options)
    return made


def task_of(architectures: Any) -> str:
    """The task of a model by its architecture.

    Raises:
        SettingError: none follows.
    """
    for end, task in TASKS.items():
        if any(str(name).endswith(end) for name in architectures):
            return task
    rule = f"the task must be named in {TASK}, or follow from the architecture in config.json"
    raise SettingError(rule, value=list(architectures), way_out=f"Set {TASK}, such as summarization.")


def decode_inputs(content: bytes, content_type: str) -> Any:
    """A payload: JSON as it is, anything else as its inputs; CSV with a row of names, each row by them.

    Raises:
        RecordError: the body is not of its content type.
    """
    kind = kind_of(content_type)
    if kind == JSON:
        return decode(content, JSON)
    if kind == TEXT:
        return {"inputs": decode(content, TEXT)}
    if kind == CSV:
        names, *rows = decode(content, CSV) or [[]]
        return {"inputs": [dict(zip(names, row, strict=False)) for row in rows]}
    return {"inputs": content}  # pictures and sounds: pipelines read their bytes


def call_pipeline(data: Any, model: Callable[..., Any]) -> Any:
    """What the pipeline answers to a payload.

    Raises:
        RecordError: the payload has no inputs, or its parameters are no table.
    """
    if not isinstance(data, dict) or "inputs" not in data:
        raise RecordError(
            'the payload must be {"inputs": ..., "parameters": {...}}', where="body", value=type(data).__name__
        )
    inputs, parameters = data["inputs"], data.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise RecordError("parameters must be a table", where="parameters", value=parameters)
    if isinstance(inputs, dict):  # a question and its context are arguments by name
        return model(**inputs, **parameters)
    return model(inputs, **parameters)


def _generator(model: str, key: str, options: dict[str, Any]) -> Callable[..., Any]:
    """Text to text by generate(), in the shape of the pipelines that were."""
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, **options)
    network = AutoModelForSeq2SeqLM.from_pretrained(model, **options).eval()

    def generate(inputs: Any, **parameters: Any) -> list[dict[str, str]]:
        texts = [inputs] if isinstance(inputs, str) else inputs
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise RecordError("inputs must be a text, or a list of texts", where="inputs", value=type(inputs).__name__)
        if not {"max_length", "max_new_tokens"} & parameters.keys():
            parameters["max_new_tokens"] = MOST_TOKENS
        with torch.inference_mode():
            tokens = tokenizer(texts, truncation=True, padding=True, return_tensors="pt", return_token_type_ids=False)
            made = network.generate(**tokens, **parameters)
        return [{key: text.strip()} for text in tokenizer.batch_decode(made, skip_special_tokens=True)]

    return generate
