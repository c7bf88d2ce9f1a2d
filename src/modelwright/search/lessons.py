"""Networks trained by the plan's final recipe, dealt to all workers."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from modelwright.errors import StoreError
from modelwright.records import Architecture, Learning
from modelwright.search.desk import Desk
from modelwright.search.failures import FAILURES, told
from modelwright.search.hands import Hands, dealt, helped
from modelwright.search.study import Study
from modelwright.training import save_weights, train


def learn_all(
    study: Study, desk: Desk, networks: Sequence[Architecture], others: Hands
) -> tuple[dict[str, Learning], tuple[str, ...]]:
    """Train networks, each worker some of them; what was done before an interruption is taken from the study.

    Returns:
        Name -> its training; and a word on those that cannot be trained.

    Raises:
        StoreError, OSError: what was finished cannot be written down.
    """
    site = desk.site
    todo = [network for network in networks if _held(study, desk, network.name) is None]
    loads = [row.get("latency_s", 0.0) for row in desk.costs.raw(todo)] if todo else []
    mine, *parts = dealt(todo, loads, others.count + 1)

    def tell(message: str) -> None:
        done = sum(_held(study, desk, network.name) is not None for network in networks)
        site.tell("train", done, len(networks), message)

    with helped(others, [partial(_learn, networks=part) for part in parts], tell):
        for network in mine:
            tell(network.name)
            _tried(study, desk, network)
    learned, notes = {}, []
    for network in networks:  # those of a worker that had to leave are still to do
        tell(network.name)
        found = _tried(study, desk, network)
        if isinstance(found, Learning):
            learned[network.name] = found
        else:
            notes.append(f"{network.name} was left out: {found}")
    return learned, tuple(notes)


def learn(study: Study, desk: Desk, architecture: Architecture) -> Learning:
    """A network trained by the final recipe, its weights in the checkpoints' folder; from the study if done before."""
    name = architecture.name
    held = _held(study, desk, name)
    if held is not None:
        return held
    file = desk.site.checkpoints / f"{name}.pt"
    done = train(architecture, desk.data, desk.plan.final, replace(desk.run, checkpoint=file, test=True))
    save_weights(done.network, desk.site.checkpoints / f"{name}.safetensors")
    study.note(f"learning-{name}", done.learning)
    file.unlink(missing_ok=True)
    return done.learning


def _held(study: Study, desk: Desk, name: str) -> Learning | None:
    held = study.state().note(f"learning-{name}", Learning)
    weights = desk.site.checkpoints / f"{name}.safetensors"
    return held if held is not None and weights.exists() and held.recipe == desk.plan.final else None


def _tried(study: Study, desk: Desk, network: Architecture) -> Learning | str:
    """Its training, or why it cannot be trained."""
    try:
        return learn(study, desk, network)
    except StoreError:
        raise
    except FAILURES as failure:
        return told(failure)


def _learn(study: Study, desk: Desk, networks: Sequence[Architecture]) -> None:
    for network in networks:
        _tried(study, desk, network)
