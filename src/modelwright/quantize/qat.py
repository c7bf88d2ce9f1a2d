"""Quantization-aware training: a network goes on learning with quantization simulated in it.

From a calibrated network, for a tenth of the first training's epochs, at a hundredth of its learning rate, falling to
zero (Wu et al., 2020, arXiv 2004.09602, section 5.3). Gradients pass the rounding as if it were not there, inside the
range (Bengio et al., 2013, arXiv 1308.3432). Weights are quantized with batch normalisation folded into them; its
statistics are frozen towards the end, and so are ranges, so that what is learned last is what runs (Krishnamoorthi,
2018, arXiv 1806.08342, section 3.2; the shares are those of PyTorch's example, 3 and 4 of 8 epochs).
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, final

import msgspec
import torch
from torch import fx, nn
from torchao.quantization.pt2e import FakeQuantize, allow_exported_model_train_eval

from modelwright.errors import SettingError
from modelwright.quantize.batch_norm import norms_of, set_mode, set_norms
from modelwright.quantize.graph import capture, kind_of, layers, node_of
from modelwright.quantize.prepare import Prepared, calibrate, prepare
from modelwright.quantize.prepare import convert as convert_whole
from modelwright.quantize.profile import Profile
from modelwright.quantize.subject import Training
from modelwright.quantize.trainable import finished, make_trainable
from modelwright.records import Epoch, Quantization, Recipe, convert, to_json
from modelwright.training.checkpoint import Identity, load_checkpoint, save_checkpoint
from modelwright.training.data.data import Data
from modelwright.training.epoch import run_epoch, steps_of
from modelwright.training.evaluation import evaluate
from modelwright.training.preprocessing import Preprocess
from modelwright.training.progress import Progress, begin
from modelwright.training.recipes import recipe_for
from modelwright.training.run import Run, circumstances
from modelwright.training.schedule import learning_rate

NORMS_FROZEN, RANGES_FROZEN = 0.375, 0.5
"""Shares of the steps after which statistics of batch normalisation, and ranges, stay as they are."""

_LAYER = "modelwright_layer"


def default_tuning(trained: Recipe) -> Recipe:
    """The recommended tuning after a training: a tenth of its epochs, a hundredth of its rate, no warm-up, in fp32."""
    return msgspec.structs.replace(
        trained,
        epochs=max(1, round(trained.epochs / 10)),
        learning_rate=trained.learning_rate / 100,
        warmup=0.0,
        ema=0.0,
        precision="fp32",
    )


def prepare_training(graph: fx.GraphModule, recipe: Quantization, profile: Profile) -> Prepared:
    """A copy of a graph with quantization simulated so that it can be trained; in evaluation mode, to be calibrated.

    Args:
        graph: as it was captured with `fold=False`.
        recipe: says how.
        profile: of the target.

    Raises:
        UnknownNameError, SettingError: as `prepare`; or nothing would be quantized.
    """
    for layer in layers(graph):
        node_of(graph, layer.node).meta[_LAYER] = layer.name  # which outlives the rewriting; names of nodes do not
    prepared = prepare(graph, recipe, profile, qat=True)
    _check(prepared)
    prepared.switches.update(_switches(prepared))
    set_norms(prepared.graph, norms_of(graph))
    set_mode(prepared.graph, norms=False, dropout=False)
    return prepared


def trained(
    network: nn.Module,
    recipe: Quantization,
    profile: Profile,
    batches: Sequence[tuple[torch.Tensor, ...]],
    training: Training,
    run: Run | None = None,
) -> tuple[nn.Module, tuple[Epoch, ...]]:
    """Calibrate a network, train it with quantization simulated, convert it.

    Args:
        network: left as it is.
        recipe: says how.
        profile: of the target.
        batches: that ranges are found on; the first has two samples or more.
        training: what it learns from; not its recipe, which is in `recipe.tuning`.
        run: where; on this CPU if None.

    Returns:
        The network in whole numbers, which may be captured, and its epochs.

    Raises:
        TraceError: the network cannot be captured.
        SettingError, UnknownNameError, RecordError, TrainingError, CapacityError: as `prepare_training`, `calibrate`
            and `tune`.
    """
    graph = capture(network, batches[0], fold=False)
    graph.requires_grad_(True)  # the network may have been frozen for use
    prepared = prepare_training(graph, recipe, profile)
    calibrate(prepared, batches)
    prepared, epochs = tune(prepared, recipe, training.data, training.see, run)
    made: nn.Module = allow_exported_model_train_eval(convert_whole(prepared))
    return made, epochs


def tune(
    prepared: Prepared,
    recipe: Quantization,
    data: Data,
    see: Preprocess,
    run: Run | None = None,
) -> tuple[Prepared, tuple[Epoch, ...]]:
    """Train with quantization simulated.

    Args:
        prepared: from `prepare_training`, and calibrated; it is used up.
        recipe: its `tuning`, or the recommended one after `recipe_for(data)`; whether scales are learned.
        data: trained on `train`, judged on `validation`.
        see: makes images into what the network reads.
        run: where; on this CPU, without a checkpoint, if None.

    Returns:
        What was prepared, trained and in evaluation mode, to be converted; and the epochs, their accuracies with
        quantization simulated.

    Raises:
        SettingError: nothing is quantized in it, or it was not calibrated; the device cannot be reached.
        RecordError: the tuning breaks a rule; the checkpoint is broken, or belongs to another run.
        TrainingError: a loss is not a finite number.
        CapacityError: it does not fit the device's memory.
    """
    _check(prepared)
    if not all(bool(part.fake_quant_enabled) for part in prepared.every):
        way_out = "Call calibrate(prepared, batches) first."
        raise SettingError("what is trained must be calibrated before", where="quantization", way_out=way_out)
    tuning, run = recipe.tuning or default_tuning(recipe_for(data)), run or Run()
    convert(msgspec.to_builtins(tuning), Recipe, where="tuning")
    whose = _identity(prepared, msgspec.structs.replace(recipe, tuning=tuning), data)
    with circumstances(run, "quantization") as device:
        torch.manual_seed(tuning.seed)
        names = make_trainable(prepared.graph, learn_scales=recipe.learned_scales)
        progress = begin(_Trainee(prepared.graph, steps_of(tuning, data.train) * tuning.epochs), tuning, device)
        state = load_checkpoint(run.checkpoint, whose) if run.checkpoint else None
        if state is not None:
            progress.restore(state)
        _go_on(progress, data, see, tuning, (run, whose))
        kept: Any = progress.kept.eval()
    trained = finished(kept.graph)
    parts = dict(trained.named_modules())
    switches = {layer: tuple(parts[names[id(part)]] for part in before) for layer, before in prepared.switches.items()}
    return replace(prepared, graph=trained, switches=switches), progress.epochs


def _go_on(progress: Progress, data: Data, see: Preprocess, tuning: Recipe, of: tuple[Run, Identity]) -> None:
    """Run the epochs that are left; save each that is due, and tell about it after that."""
    run, whose = of
    split, judges = data.train.on(progress.device), data.validation.on(progress.device)
    steps = steps_of(tuning, split)
    before = progress.epochs[-1].seconds if progress.epochs else 0.0
    start = run.clock.seconds()
    trainee: Any = progress.network
    for number in range(len(progress.epochs) + 1, tuning.epochs + 1):
        trainee.steps = (number - 1) * steps
        loss = run_epoch(progress, split, see, tuning)
        accuracy = evaluate(progress.kept, judges, see, precision=tuning.precision)
        rate = learning_rate(tuning, number * steps - 1, tuning.epochs * steps)
        progress.epochs += (Epoch(number, loss, accuracy, before + run.clock.seconds() - start, rate),)
        stops = bool(run.report and not run.report(progress.epochs[-1]))
        if run.checkpoint and (number % run.every == 0 or number == tuning.epochs or stops):
            save_checkpoint(run.checkpoint, whose, progress.state())
        if stops:
            return


@final
class _Trainee(nn.Module):
    """A prepared graph that can be told to train and to evaluate, and that counts its steps.

    Args:
        graph: prepared and calibrated, with parts that can be trained.
        total: steps of the whole run.
    """

    def __init__(self, graph: fx.GraphModule, total: int) -> None:
        super().__init__()
        self.graph = graph
        self.steps = 0
        self.frozen = (round(total * NORMS_FROZEN), round(total * RANGES_FROZEN))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """The logits; in training, one step more."""
        if self.training:
            if self.steps in self.frozen:
                self.train()
            self.steps += 1
        made: torch.Tensor = self.graph(pixels)
        return made

    def train(self, mode: bool = True) -> "_Trainee":
        """Training: batches are normalised by themselves and ranges follow, until they are frozen; else evaluation."""
        self.training = mode
        norms, ranges = (mode and self.steps < frozen for frozen in self.frozen)
        set_mode(self.graph, norms=norms, dropout=mode)
        for part in self.graph.modules():
            if isinstance(part, FakeQuantize):
                part.enable_observer(ranges)
        return self


def _switches(prepared: Prepared) -> dict[str, tuple[FakeQuantize, ...]]:
    """The fake quantizations right before each layer that is quantized."""
    parts = dict(prepared.graph.named_modules(remove_duplicate=False))  # shared ones have several names
    found: dict[str, tuple[FakeQuantize, ...]] = {}
    for node in prepared.graph.graph.nodes:
        if node.meta.get(_LAYER) in prepared.switches and kind_of(node) is not None:
            given = [parts[str(one.target)] for one in node.all_input_nodes if one.op == "call_module"]
            found[node.meta[_LAYER]] = tuple(part for part in given if isinstance(part, FakeQuantize))
    return found


def _identity(prepared: Prepared, recipe: Quantization, data: Data) -> Identity:
    """What a checkpoint of this tuning is known by."""
    names = json.dumps({"layers": [layer.name for layer in prepared.layers]})
    return Identity(names, to_json(recipe).decode(), json.dumps({"data": f"{data.name} {data.fingerprint}"}))


def _check(prepared: Prepared) -> None:
    """Refuse to train without any simulation, which would change nothing but the weights."""
    if not prepared.every:
        rule = "quantization must be simulated somewhere, or training teaches the network nothing of it"
        way_out = "Choose kind 'qat', and layers that the target has integer kernels for."
        raise SettingError(rule, where="quantization-aware training", way_out=way_out)
