"""Reviewing in the terminal: an item at a time is claimed, shown, and given its class by a key."""

import argparse
import sys
from collections.abc import Mapping, Sequence

import msgspec

from modelwright.cli.cells import show_note
from modelwright.errors import ConflictError, SettingError
from modelwright.guard import Queue
from modelwright.guard.audit import audited_risk
from modelwright.guard.queue import Ticket
from modelwright.records import Verdict
from modelwright.report.quantity import many, significant

_NONE, _LATER, _AMEND, _QUIT = "n", "s", "a", "q"
_KEYS = {
    _NONE: "none of these classes",
    _LATER: "skip, for now",
    _AMEND: "amend the last verdict",
    _QUIT: "quit, and give back what is held",
}


def review(arguments: argparse.Namespace) -> int:
    """Let a reviewer go through a queue, or tell how it stands; what is held is given back at the end."""
    queue = Queue.open(arguments.queue)
    if arguments.export:
        print(f"wrote {many(queue.export(arguments.export), 'verdict')} to {arguments.export}", file=sys.stderr)
    elif not arguments.json:
        if not arguments.reviewer.strip():
            raise SettingError("a reviewer must have a name", where="--reviewer", way_out="Such as --reviewer ann.")
        decided = _Session(queue, arguments.reviewer).run()
        print(f"{many(decided, 'verdict')} given.")
    _stand(queue, as_json=arguments.json)
    return 0


def _stand(queue: Queue, *, as_json: bool) -> None:
    counts, risk = queue.counts(), audited_risk(queue.verdicts())
    if as_json:
        text = msgspec.json.encode({"counts": counts, "accepted_risk": risk})
        print(msgspec.json.format(text, indent=2).decode())
        return
    print(f"{counts.waiting} waiting, {counts.held} held, {counts.decided} decided, of {many(counts.items, 'item')}.")
    if risk.risk is not None:
        bounds = f"{risk.low:.1%} to {risk.high:.1%} with a confidence of {risk.confidence:.0%}"
        print(f"Of accepted predictions {risk.risk:.1%} are wrong ({bounds}; {many(risk.judged, 'audit')}).")


class _Session:
    """One reviewer at one terminal."""

    def __init__(self, queue: Queue, reviewer: str) -> None:
        self._queue = queue
        self._reviewer = reviewer
        self._classes = _keyed(queue.rules.classes)
        self._last: Verdict | None = None
        self._decided = 0

    def run(self) -> int:
        """Go on until the queue is empty or the reviewer leaves; how many verdicts were given."""
        show_note(" ".join(f"[{key}] {what}." for key, what in _KEYS.items()))
        try:
            while tickets := self._queue.claim(self._reviewer):
                if not self._look(tickets[0]):
                    break
            else:
                print("Nothing waits.")
        except EOFError:
            print()
        finally:
            self._queue.release(self._reviewer)
        return self._decided

    def _look(self, ticket: Ticket) -> bool:
        """Show an item and take its verdict; whether to go on."""
        _show(ticket, self._classes)
        while True:
            word = input("> ").strip()
            if word == _QUIT:
                return False
            if word == _LATER:
                return True
            if word == _AMEND:
                self._amend()
            elif self._names_a_class(word):
                return self._decide(ticket.item.key, self._label(word))
            else:
                print(f"Not a key. {self._choices()}")

    def _amend(self) -> None:
        """Ask for the last verdict again."""
        if self._last is None:
            print("There is no verdict of this session yet.")
            return
        print(f"{self._last.key} was given {self._last.label or 'none of the classes'}. {self._choices()}")
        word = input("instead > ").strip()
        if self._names_a_class(word):
            self._decide(self._last.key, self._label(word), amend=True)
        else:
            print("It stays.")

    def _decide(self, key: str, label: str | None, *, amend: bool = False) -> bool:
        try:
            self._last = self._queue.decide(key, label, self._reviewer, amend=amend)
            self._decided += not amend
        except ConflictError as conflict:  # the lease ran out, and another reviewer was there
            print(conflict)
        return True

    def _names_a_class(self, word: str) -> bool:
        known = {*self._classes, *self._classes.values(), _NONE}
        return word in known if self._classes else bool(word)

    def _label(self, word: str) -> str | None:
        if word == _NONE:
            return None
        return self._classes.get(word, word)

    def _choices(self) -> str:
        return f"{_offered(self._classes)}  [{_NONE}] none"


def _keyed(classes: Sequence[str]) -> dict[str, str]:
    """Key -> class: numbers from 1, but names themselves where one of them is a number or a key."""
    alone = not any(name.isdecimal() or name in _KEYS for name in classes)
    return {str(number) if alone else name: name for number, name in enumerate(classes, 1)}


def _offered(classes: Mapping[str, str]) -> str:
    return "  ".join(f"[{key}] {name}" if key != name else f"[{key}]" for key, name in classes.items()) or (
        "Type the class's name."
    )


def _show(ticket: Ticket, classes: Mapping[str, str]) -> None:
    item = ticket.item
    said = [f"predicted {item.predicted or 'nothing'}"]
    said += [] if item.probability is None else [f"probability {significant(item.probability)}"]
    said += [f"score {'unavailable' if item.score is None else significant(item.score)}"]
    said += [f"stands for {many(len(ticket.twins), 'near-duplicate')} too"] if ticket.twins else []
    print(f"\n{_plain(item.key)}: {item.reason}")
    print(_plain("; ".join(said)))
    print(_plain(item.text or "(no text; look the input up by its name)"))
    for name, text in item.details.items():
        print(f"{_plain(name)}: {_plain(text)}")
    print(_offered(classes))
    show_note(f"held until {ticket.until}")


def _plain(text: str) -> str:
    """Text without what a terminal would obey."""
    return "".join(mark if mark.isprintable() or mark in "\n\t" else "\N{REPLACEMENT CHARACTER}" for mark in text)
