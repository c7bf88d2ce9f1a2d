"""Reviewing, in the terminal or in a browser: an item at a time is claimed, shown, and given its class by a key."""

import argparse
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelwright.cli.cells import show_note
from modelwright.cli.guard_arrays import SUFFIXES, arrays, is_file_of_arrays
from modelwright.clock import SystemClock
from modelwright.errors import ConflictError, SettingError
from modelwright.guard import Queue
from modelwright.guard.audit import audited_risk
from modelwright.guard.queue import Ticket
from modelwright.records import Verdict
from modelwright.report.quantity import many, significant

if TYPE_CHECKING:
    from modelwright.web.review import Inputs

_HOST, _PORT = "127.0.0.1", 8765
_NONE, _MODEL, _LATER, _AMEND, _QUIT = "n", "m", "s", "a", "q"
_KEYS = {
    _NONE: "none of these classes",
    _MODEL: "what the model said",
    _LATER: "skip, for now",
    _AMEND: "amend the last verdict",
    _QUIT: "quit, and give back what is held",
}


def review_arguments(add: Callable[..., Any]) -> None:
    """Declare the arguments of the action."""
    add("queue", type=Path, metavar="QUEUE", help="the file that check --queue named")
    add("--reviewer", default="", metavar="NAME", help="who looks; with --web each user is asked if this is left out")
    add("--export", type=Path, metavar="FILE", help="write all verdicts as labels, JSON lines")
    add("--web", action="store_true", help="serve a page for it, until Ctrl-C")
    add("--port", type=int, metavar="N", help=f"of the page; 0 for any that is free (default: {_PORT})")
    add("--host", metavar="ADDRESS", help=f"of the page; one that others reach asks for a token (default: {_HOST})")
    add("--inputs", metavar="DATA", help="what the page shows: a file of arrays, or a folder of pictures")


def review(arguments: argparse.Namespace) -> int:
    """Let reviewers go through a queue, or tell how it stands; what is held is given back at the end."""
    _check(arguments)
    queue = Queue.open(arguments.queue)
    if arguments.web:
        _serve(queue, arguments)
        _stand(queue, as_json=False)
        return 0
    if arguments.export:
        print(f"wrote {many(queue.export(arguments.export), 'verdict')} to {arguments.export}", file=sys.stderr)
    elif not arguments.json:
        if not arguments.reviewer.strip():
            raise SettingError("a reviewer must have a name", where="--reviewer", way_out="Such as --reviewer ann.")
        decided = _Session(queue, arguments.reviewer).run()
        print(f"{many(decided, 'verdict')} given.")
    _stand(queue, as_json=arguments.json)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    given = {f"--{name}": getattr(arguments, name) for name in ("port", "host", "inputs")}
    for option, value in given.items():
        if value is not None and not arguments.web:
            raise SettingError("this is of the page", where=option, value=str(value), way_out="Add --web.")
    if arguments.web and (arguments.json or arguments.export):
        raise SettingError(
            "a page neither exports nor prints JSON", where="--web", way_out="Leave out the one of them."
        )


def _serve(queue: Queue, arguments: argparse.Namespace) -> None:
    """Serve the page until it is interrupted; what is held is given back."""
    from modelwright.web import access_for, review_app, serve  # of the extra "web", which only this needs
    from modelwright.web.review import Desk

    host, port = arguments.host or _HOST, _PORT if arguments.port is None else arguments.port
    inputs = _inputs(queue, arguments.inputs or "")
    access = access_for(host, arguments.reviewer.strip())
    desk = Desk(queue, SystemClock(), lambda: secrets.token_urlsafe(16))
    app = review_app(desk, access, inputs, cookie=f"modelwright-review-{port}")
    try:
        serve(app, host, port, access.token, lambda address: print(f"Open {address} (Ctrl-C ends it)", flush=True))
    finally:
        desk.close()


def _inputs(queue: Queue, place: str) -> "Inputs":
    """What the page shows of an item besides its text."""
    from modelwright.web.review import inputs_in_array, inputs_in_folder, no_inputs

    if not place:
        return no_inputs
    if not is_file_of_arrays(place):
        if not Path(place).is_dir():
            rule = f"it must be a folder, or a file that ends in {', '.join(SUFFIXES)}"
            raise SettingError(rule, where="--inputs", value=place)
        return inputs_in_folder(Path(place))
    found = arrays(Path(place))
    if "inputs" not in found:
        way_out = "Save what a reviewer looks at as inputs, (n, ...), in the order of the rows."
        raise SettingError("the file must hold inputs", where=place, way_out=way_out)
    rows = found["inputs"]
    names = found["keys"].tolist() if "keys" in found else [f"{place}:{row}" for row in range(len(rows))]
    if len(names) != len(rows):
        raise SettingError(f"there must be a key for each of the {len(rows)} rows", where=place, value=len(names))
    keys = {str(name): row for row, name in enumerate(names)}
    if queue.state().items.keys().isdisjoint(keys):
        way_out = "Name it as check --data did."
        raise SettingError("its rows must be items of the queue", where="--inputs", value=place, way_out=way_out)
    return inputs_in_array(rows, keys)


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
            if word == _MODEL:
                print(_plain(_said(ticket)))
            elif word == _AMEND:
                self._amend()
            elif self._names_a_class(word):
                self._decide(ticket.item.key, self._label(word))
                show_note(_plain(f"{ticket.item.key} was here: {ticket.item.reason or 'deferred'}"))
                return True
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

    def _decide(self, key: str, label: str | None, *, amend: bool = False) -> None:
        try:
            self._last = self._queue.decide(key, label, self._reviewer, amend=amend)
            self._decided += not amend
        except ConflictError as conflict:  # the lease ran out, and another reviewer was there
            print(conflict)

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


def _said(ticket: Ticket) -> str:
    """What the model said, for who asks: whoever has seen it judges less freely."""
    item = ticket.item
    said = [f"predicted {item.predicted or 'nothing'}"]
    said += [] if item.probability is None else [f"probability {significant(item.probability)}"]
    said += [f"score {'unavailable' if item.score is None else significant(item.score)}"]
    return "; ".join(said)


def _show(ticket: Ticket, classes: Mapping[str, str]) -> None:
    """Show an item; its reason is told after the verdict, so that audits look like all others."""
    item = ticket.item
    print(f"\n{_plain(item.key)}")
    if ticket.twins:
        print(f"The verdict counts for {many(len(ticket.twins), 'near-duplicate')} too.")
    print(_plain(item.text or "(no text; look the input up by its name)"))
    for name, text in item.details.items():
        print(f"{_plain(name)}: {_plain(text)}")
    print(_offered(classes))
    show_note(f"held until {ticket.until}")


def _plain(text: str) -> str:
    """Text without what a terminal would obey."""
    return "".join(mark if mark.isprintable() or mark in "\n\t" else "\N{REPLACEMENT CHARACTER}" for mark in text)
