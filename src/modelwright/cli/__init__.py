"""The face: each command parses, calls one function and shows what came back.

A row is command -> (what it answers, the module that does it). The module is imported when the command is used, and
offers `add_arguments(parser)` and `run(arguments) -> exit code`.
"""

__all__ = ["COMMANDS"]

COMMANDS: dict[str, tuple[str, str]] = {
    "search": ("the model family that fits an accelerator best: found, trained, handed over", "modelwright.cli.search"),
    "quantize": ("the fastest precision that keeps a network's accuracy, on a runtime", "modelwright.cli.quantize"),
    "guard": ("which predictions may be used, and which a person decides", "modelwright.cli.guard"),
    "serve": ("asynchronous endpoints whose instances come and go with the backlog", "modelwright.cli.serve"),
    "cost": ("what a network costs on an accelerator, and why", "modelwright.cli.cost"),
    "explain": ("where the time of one network goes, and which changes would help", "modelwright.cli.explain"),
    "whatif": ("what would change if the network or the accelerator were different", "modelwright.cli.whatif"),
    "scale": ("what a network grows into under latency targets, and by which coefficients", "modelwright.cli.scale"),
    "measure": ("how long a network really takes on this machine", "modelwright.cli.measure"),
    "architectures": ("the named networks, and how one is put together", "modelwright.cli.architectures"),
    "platform": ("the accelerators that are known, and where each number comes from", "modelwright.cli.platform"),
}
