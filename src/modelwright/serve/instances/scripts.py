"""A model that comes with `code/inference.py`, as SageMaker's PyTorch and Hugging Face toolkits run it.

The script may define model_fn, input_fn, predict_fn and output_fn, or transform_fn in place of the last three; what it
leaves out is done by default. Each may take the context as its last argument, which is None here.
"""

import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, final

from modelwright.errors import RecordError
from modelwright.serve.instances.calls import Call, Reply
from modelwright.serve.instances.coding import BYTES, JSON, decode, encode
from modelwright.serve.instances.hugging_face import call_pipeline, decode_inputs, is_hugging_face, load_pipeline

PROGRAM = "SAGEMAKER_PROGRAM"
"""The variable that names another script than inference.py."""

NAMES = ("model_fn", "input_fn", "predict_fn", "output_fn", "transform_fn")


@final
@dataclass(frozen=True, eq=False)
class ScriptHandler:
    """A loaded model with the functions that make an answer of a call.

    Attributes:
        model: what model_fn returned.
        transform: from model, bytes, content type and accepted type to the answer.
    """

    model: Any
    transform: Callable[[Any, bytes, str, str], Any]

    @property
    def batches(self) -> bool:
        """A script answers one call."""
        return False

    def answer(self, calls: Sequence[Call]) -> Sequence[Reply]:
        """What the script's functions make of each call."""
        return [_reply(self.transform(self.model, call.read(), call.content_type, call.accept), call) for call in calls]


def script_of(folder: Path, environment: Mapping[str, str]) -> Path | None:
    """The script of a model's folder, in code/ or beside the model; None where it has none."""
    name = Path(environment.get(PROGRAM, "inference.py")).name
    return next((path for path in (folder / "code" / name, folder / name) if path.is_file()), None)


def load_script(folder: Path, environment: Mapping[str, str]) -> ScriptHandler:
    """The handler of a folder with a script, or of a Hugging Face model without one.

    Raises:
        RecordError: there is neither, or the script has no model_fn and the model is no Hugging Face model.
        Exception: whatever the script raises.
    """
    script = script_of(folder, environment)
    functions = _functions(_module(script)) if script else {}
    known = is_hugging_face(folder, environment)
    if "model_fn" not in functions and not known:
        rule = "a model must have code/inference.py with model_fn, or be a Hugging Face model"
        raise RecordError(rule, where=str(folder), way_out="Pack it with modelwright serve pack.")
    load = functions.get("model_fn")
    model = _with_context(load, 1)(str(folder)) if load else load_pipeline(folder, environment)
    if "transform_fn" in functions:
        return ScriptHandler(model, _with_context(functions["transform_fn"], 4))
    read = _with_context(functions.get("input_fn") or (decode_inputs if known else decode), 2)
    predict = _with_context(functions.get("predict_fn") or (call_pipeline if known else _called), 2)
    write = _with_context(functions.get("output_fn") or encode, 2)

    def transform(loaded: Any, content: bytes, content_type: str, accept: str) -> Any:
        return write(predict(read(content, content_type or JSON), loaded), accept or JSON)

    return ScriptHandler(model, transform)


def _module(script: Path) -> ModuleType:
    """The script as a module; it finds what lies beside it."""
    sys.path.insert(0, str(script.parent))
    spec = importlib.util.spec_from_file_location(script.stem, script)
    if spec is None or spec.loader is None:
        raise RecordError("a script must be a Python file", where=str(script))
    module = importlib.util.module_from_spec(spec)
    sys.modules[script.stem] = module
    spec.loader.exec_module(module)
    return module


def _functions(module: ModuleType) -> dict[str, Callable[..., Any]]:
    return {name: getattr(module, name) for name in NAMES if callable(getattr(module, name, None))}


def _with_context(function: Callable[..., Any], arguments: int) -> Callable[..., Any]:
    """The function as one of so many arguments, whether or not it takes the context besides."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    taken = [one for one in inspect.signature(function).parameters.values() if one.kind in kinds]
    required = [one for one in taken if one.default is inspect.Parameter.empty]
    if len(required) > arguments or (len(taken) > arguments and taken[arguments].name == "context"):
        return lambda *given: function(*given, None)
    return function


def _called(data: Any, model: Any) -> Any:
    """By default a model is called."""
    return model(data)


def _reply(result: Any, call: Call) -> Reply:
    """The reply of what a script returned: a body, a body with its content type, or a value to be written."""
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], str):
        body, content_type = result
    else:
        body, content_type = result, call.accept if "/" in call.accept and "*" not in call.accept else ""
    if isinstance(body, str):
        return Reply(body.encode(), content_type or JSON)
    if isinstance(body, bytes | bytearray):
        return Reply(bytes(body), content_type or BYTES)
    if isinstance(body, Iterator):
        return Reply(body, content_type or BYTES)
    return Reply(*encode(body, call.accept))
