"""What a draft becomes on a platform: its kernels and accesses, planned once for all networks of one structure.

The planner works on the draft's first network, with stand-ins for the parts before and after. What it finds is kept as
shares of tensor sizes, so that it holds for every other network of the draft.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from modelwright.hardware.fusion import resolve
from modelwright.hardware.kernels import Kernel, fresh_s
from modelwright.hardware.lowering.draft import TRACED, Draft
from modelwright.hardware.plan import plan
from modelwright.hardware.precision import assign
from modelwright.hardware.table import FROM_LAST_RUN, FROM_MAIN, partners
from modelwright.records import Execution, Platform, Policy, Workload

Link = Literal["near", "main", "weight", "entry", "exit"]


@dataclass(frozen=True)
class Setting:
    """How networks run: platform, samples a run, precision or autocast policy, execution."""

    platform: Platform
    batch: int
    precision: Policy
    execution: Execution

    @property
    def scale(self) -> float:
        """The batch over the draft's."""
        return self.batch / TRACED


@dataclass(frozen=True)
class Row:
    """An access of a kernel: `share` bytes an element of the tensor `root`, and where its data is shared.

    "near": with kernel `other` of the same part; "entry" and "exit": with a kernel of the part before or after, over
    tensor `other` of those that cross (0 the part's input or output, 1 what the next part's first copy makes of it);
    "weight": with the run before; "main": with nothing. What is `fresh` is written to memory of its own.
    """

    kernel: int
    root: int
    share: float
    link: Link
    other: int = 0
    fresh: bool = False


@dataclass(frozen=True)
class Launch:
    """A kernel: the steps it holds; for a copy that the planner adds, instructions an element of the tensor `basis`.

    `extra` are the host's seconds without those for fresh memory; `regions` is None where the sizes decide.
    """

    steps: tuple[int, ...]
    widths: tuple[int, ...]
    basis: int
    instructions: float
    scattered: float
    serial: bool
    host: float
    extra: float
    regions: float | None


@dataclass(frozen=True)
class Structure:
    """Kernels and accesses of the part itself, in order; of every tensor the root, the width and the last user."""

    workload: Workload
    launches: tuple[Launch, ...]
    rows: tuple[Row, ...]
    root: tuple[int, ...]
    widths: tuple[int, ...]
    last: dict[int, int]


def survey(draft: Draft, setting: Setting) -> Structure:
    """Plan the draft's first network and keep what concerns the part itself."""
    workload = draft.workload()
    steps = plan(workload, setting.platform, setting.batch, setting.precision, setting.execution)
    root = resolve(workload).root
    home = [_home(draft, kernel) for kernel in steps.kernels]
    own = {number: position for position, number in enumerate(n for n, part in enumerate(home) if part == "own")}
    crossing = _crossing(draft, root)
    touched = [access for kernel in steps.kernels for access in kernel.accesses]
    rows = []
    for access, (number, size, partner, _) in zip(touched, partners(steps), strict=True):
        if number not in own:
            continue
        share = size / workload.tensors[access.root].size
        link, other = _link(home, own, partner)
        if link in ("entry", "exit"):
            other = crossing[link].index(access.root)
        rows.append(Row(own[number], access.root, share, link, other, access.fresh))
    return Structure(
        workload,
        tuple(_launch(workload, steps.kernels[number], setting) for number in own),
        tuple(rows),
        root,
        assign(workload, setting.precision).widths,
        _last(workload, root),
    )


def _home(draft: Draft, kernel: Kernel) -> str:
    """The part that a kernel belongs to: the earliest of those whose steps it holds."""
    parts = {draft.steps[int(name)].part for name in kernel.operators}
    return next(part for part in ("before", "own", "after") if part in parts)


def _link(home: Sequence[str], own: dict[int, int], partner: int) -> tuple[Link, int]:
    if partner == FROM_LAST_RUN:
        return "weight", 0
    if partner == FROM_MAIN:
        return "main", 0
    if partner in own:
        return "near", own[partner]
    return ("entry", 0) if home[partner] == "before" else ("exit", 0)


def _crossing(draft: Draft, root: Sequence[int]) -> dict[str, list[int]]:
    """Roots of the tensors that may cross into the part, and out of it."""
    made: dict[str, list[int]] = {part: [] for part in ("before", "own", "after")}
    for step in draft.steps:
        if step.kind != "view":
            made[step.part].append(root[step.output])
    return {
        "entry": [*made["before"][-1:], *made["own"][:1]],
        "exit": [*made["own"][-1:], *made["after"][:1]],
    }


def _launch(workload: Workload, kernel: Kernel, setting: Setting) -> Launch:
    basis = kernel.accesses[0].root
    size = workload.tensors[basis].size
    added = kernel.name not in kernel.operators
    return Launch(
        steps=() if added else tuple(int(name) for name in kernel.operators),
        widths=tuple(product.width for product in kernel.multiplications),
        basis=basis,
        instructions=kernel.instructions / size if added else 0.0,
        scattered=kernel.scattered / size,
        serial=kernel.serial,
        host=kernel.host,
        extra=kernel.extra - fresh_s(kernel.accesses, setting.platform),
        regions=kernel.regions if added or kernel.multiplications else None,
    )


def _last(workload: Workload, root: Sequence[int]) -> dict[int, int]:
    """Root -> the last operator that uses it; the network's results are used to the end."""
    last = {root[p]: i for i, operator in enumerate(workload.operators) for p in (*operator.inputs, *operator.outputs)}
    return last | {root[p]: len(workload.operators) for p in workload.outputs}
