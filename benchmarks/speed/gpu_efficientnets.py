"""EfficientNet and EfficientNet-X B0-B7 on a CUDA device: bf16; batch 1, 8, 128; eager, compiled and as a CUDA graph.

Rows go to benchmarks/results/gpu-efficientnets-DEVICE.csv as they are taken; what the file holds is not repeated.
Networks of one size and batch take turns. Without a CUDA device this says so, and ends with code 2.

    python benchmarks/speed/gpu_efficientnets.py [--device cuda:0] [--largest 7] [--repetitions 15]
        [--batch 1 8 128] [--execution eager compiled graph]
"""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from modelwright.cli.measure import commit
from modelwright.errors import CapacityError
from modelwright.networks.catalogue import architecture
from modelwright.networks.measuring import Protocol, Setting, Subject, architecture_subject, measure, resume
from modelwright.records import Execution, Measurement

RESULTS = Path(__file__).resolve().parents[1] / "results"
BATCHES = (1, 8, 128)
EXECUTIONS: tuple[Execution, ...] = ("eager", "compiled", "graph")


def groups(
    device: str, largest: int, batches: Sequence[int], executions: Sequence[Execution]
) -> Iterator[list[Subject]]:
    for batch in batches:
        for size in range(largest + 1):
            yield [
                architecture_subject(
                    architecture(f"{family}-b{size}"),
                    Setting(batch=batch, precision="bf16", execution=execution, channels_last=True, device=device),
                )
                for family in ("efficientnet", "efficientnet-x")
                for execution in executions
            ]


def results(device: str, folder: Path = RESULTS) -> Path:
    word = re.sub(r"[^a-z0-9]+", "-", torch.cuda.get_device_name(device).lower()).strip("-")
    return folder / f"gpu-efficientnets-{word}.csv"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--device", default="cuda:0", help="which CUDA device (default: %(default)s)")
    parser.add_argument("--largest", type=int, choices=range(8), default=7, help="B0 to which size (default: B7)")
    parser.add_argument("--repetitions", type=int, default=15, help="how often (default: %(default)s)")
    parser.add_argument("--batch", type=int, nargs="+", default=BATCHES, help="samples at once (default: 1 8 128)")
    parser.add_argument("--execution", nargs="+", choices=EXECUTIONS, default=EXECUTIONS,
                        help="how they run (default: all; compiling takes a minute a network)")  # fmt: skip
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("gpu_efficientnets: no CUDA device can be reached here, so nothing was measured", file=sys.stderr)
        return 2
    protocol, path, version = Protocol(repetitions=arguments.repetitions), results(arguments.device), commit()

    def take(subjects: Sequence[Subject]) -> Sequence[Measurement]:
        return measure(subjects, protocol, commit=version, report=lambda message: print(message, flush=True))

    def fits(subjects: list[Subject]) -> bool:
        try:
            resume([subjects], take, path)
        except CapacityError as error:
            print(f"left out: {error}", flush=True)
            return False
        return True

    for group in groups(arguments.device, arguments.largest, arguments.batch, arguments.execution):
        if not fits(group):
            for subject in group:
                fits([subject])
    print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
