"""From choices as people write them (one for all stages, or for all blocks of a stage) to flat ones."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal, NoReturn, final

import msgspec

from modelwright.errors import RecordError
from modelwright.records import Choice, Value
from modelwright.records.space import Word
from modelwright.search.space.rules import check_values

Values = Annotated[tuple[Value, ...], msgspec.Meta(min_length=1)]
Stages = tuple[int, ...]


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One `[[choice]]` of a file.

    Attributes:
        name: what is chosen, such as "kernel".
        values: what it can be.
        per: "network" for one choice, "stage" for one a stage, "block" for one a block of each stage.
        share: groups of stages; those of a group share one choice.
        stages_only: the stages that have the choice; all if empty.
        override: stage -> its own values.
        depth: per block: the stage's choice (or fixed value) that says how many blocks it has.
        when: choice -> values; "{stage}" and "{block}" in its name stand for the choice's own.
    """

    name: Word
    values: Values
    per: Literal["network", "stage", "block"] = "network"
    share: tuple[Stages, ...] = ()
    stages_only: Stages = ()
    override: dict[str, Values] = {}
    depth: Word = "repeats"
    when: dict[str, Values] = {}


def expand(wishes: Sequence[Wish], stages: int, fixed: Mapping[str, Value], where: str) -> tuple[Choice, ...]:
    """The flat choices of a file, in its order, each wish stage by stage and block by block.

    Args:
        wishes: as written.
        stages: how many there are, from 1; 0 for none.
        fixed: what is not chosen.
        where: the file's name, for errors.

    Raises:
        RecordError: a wish breaks a rule; says which, the key, the rule, the value and the way out.
    """
    expansion = _Expansion(stages, fixed, where)
    for wish in wishes:
        expansion.add(wish)
    return tuple(expansion.choices.values())


def joined(stages: Stages) -> str:
    """Stages as part of a choice's name: "3", "1-3" for a run, "1-2+5" for several."""
    runs: list[list[int]] = []
    for stage in sorted(stages):
        if runs and stage == runs[-1][-1] + 1:
            runs[-1].append(stage)
        else:
            runs.append([stage])
    return "+".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


@final
class _Expansion:
    """Collects flat choices, and knows by which names the stages call a shared one."""

    def __init__(self, stages: int, fixed: Mapping[str, Value], where: str) -> None:
        self.stages, self.fixed, self.where = stages, fixed, where
        self.choices: dict[str, Choice] = {}
        self.called: dict[str, str] = {}

    def add(self, wish: Wish) -> None:
        """Add the choices of one wish."""
        self._check(wish)
        if wish.per == "network":
            self._put(wish, wish.name, wish.values, self._conditions(wish, (), 0), [wish.name])
        elif wish.per == "block":
            for stage in wish.stages_only or range(1, self.stages + 1):
                self._add_blocks(wish, stage)
        else:
            for group in wish.share or [(stage,) for stage in wish.stages_only or range(1, self.stages + 1)]:
                called = [f"stages.{stage}.{wish.name}" for stage in group]
                values = wish.override.get(str(group[0]), wish.values)
                name = f"stages.{joined(group)}.{wish.name}"
                self._put(wish, name, values, self._conditions(wish, group, 0), called)

    def _add_blocks(self, wish: Wish, stage: int) -> None:
        """One choice a block; a block that the stage need not have is chosen only where the stage has it."""
        values = wish.override.get(str(stage), wish.values)
        depths, depth = self._depths(wish, stage)
        for block in range(1, max(depths) + 1):
            conditions = self._conditions(wish, (stage,), block)
            present = tuple(count for count in depths if count >= block)
            if depth and (len(present) < len(depths) or self.choices[depth].when):
                conditions = {depth: present, **conditions}
            name = f"stages.{stage}.blocks.{block}.{wish.name}"
            self._put(wish, name, values, conditions, [name])

    def _depths(self, wish: Wish, stage: int) -> tuple[tuple[int, ...], str]:
        """How many blocks a stage can have, and the choice that decides it, "" where it is fixed."""
        names = (f"stages.{stage}.{wish.depth}", wish.depth)
        chosen = next((self.called[name] for name in names if name in self.called), "")
        known = [self.fixed[name] for name in names if name in self.fixed][:1]
        values = self.choices[chosen].values if chosen else tuple(known)
        if not values or not all(isinstance(value, int) and value >= 1 for value in values):
            rule = "a choice per block needs an earlier choice, or a fixed value, of how many blocks stage has"
            self._refuse(wish, "depth", rule.replace("stage", f"stage {stage}"), wish.depth, "Put that before it.")
        return tuple(int(value) for value in values), chosen

    def _conditions(self, wish: Wish, group: Stages, block: int) -> dict[str, tuple[Value, ...]]:
        """The wish's conditions, with the names of flat choices."""
        conditions: dict[str, tuple[Value, ...]] = {}
        for written, values in wish.when.items():
            names = {
                self._flat(wish, written.replace("{stage}", str(stage)).replace("{block}", str(block)))
                for stage in group or (0,)
            }
            if len(names) > 1:
                rule = "stages that share a choice must share what it depends on"
                self._refuse(wish, "when", rule, written, "Give both the same `share`.")
            conditions[names.pop()] = values
        return conditions

    def _flat(self, wish: Wish, name: str) -> str:
        if name not in self.called:
            known = f"Known here: {', '.join(self.called) or 'none yet'}."
            self._refuse(wish, "when", "a condition must name an earlier choice", name, known)
        return self.called[name]

    def _put(
        self, wish: Wish, name: str, values: Values, when: dict[str, tuple[Value, ...]], called: Sequence[str]
    ) -> None:
        if twice := [alias for alias in called if alias in self.called]:
            self._refuse(wish, "name", "a choice must be named once", twice[0], "Rename one of the two.")
        check_values(values, f"{self.where}, choice {name!r}, values")
        self.choices[name] = Choice(name, _alike(values), when)
        self.called |= dict.fromkeys(called, name)

    def _check(self, wish: Wish) -> None:
        """The rules of one wish by itself."""
        if wish.per != "network" and not self.stages:
            rule, way_out = "choices per stage or block need `stages` at the top of the file", "Write stages = 7."
            self._refuse(wish, "per", rule, wish.per, way_out)
        for key, written, allowed in (
            ("share", wish.share, wish.per == "stage" and not wish.stages_only and not wish.override),
            ("stages_only", wish.stages_only, wish.per != "network"),
            ("override", wish.override, wish.per != "network"),
        ):
            if written and not allowed:
                rule = '`share` needs per = "stage", without `stages_only` and `override`; those need stages, too'
                self._refuse(wish, key, rule, written, "Leave it out, or write several choices.")
        named = list(_named(wish))
        for key, stage in named:
            if not 1 <= stage <= self.stages:
                rule = f"a stage must be from 1 to {self.stages}"
                self._refuse(wish, key, rule, stage, "Correct it, or `stages` at the top.")
            if wish.stages_only and stage not in wish.stages_only:
                rule = "only a stage that has the choice can have values of its own"
                self._refuse(wish, key, rule, stage, "Add it to `stages_only`.")
            if key != "override" and named.count((key, stage)) > 1:
                self._refuse(wish, key, "each stage must stand once", stage, "Leave out the copies.")

    def _refuse(self, wish: Wish, key: str, rule: str, value: object, way_out: str) -> NoReturn:
        where = f"{self.where}, choice {wish.name!r}, key {key!r}"
        raise RecordError(rule, where=where, value=value, way_out=way_out)


def _named(wish: Wish) -> Iterator[tuple[str, int]]:
    """Every stage that a wish names, with the key; 0 for what is no number."""
    yield from (("share", stage) for group in wish.share for stage in group or (0,))
    yield from (("stages_only", stage) for stage in wish.stages_only)
    yield from (("override", int(stage) if stage.isdecimal() else 0) for stage in wish.override)


def _alike(values: Values) -> Values:
    """Whole numbers among fractions are fractions, so that a value reads the same however it was written down."""
    if any(isinstance(value, float) for value in values):
        return tuple(float(value) for value in values)
    return values
