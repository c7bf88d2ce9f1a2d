"""A family found on real data, beside EfficientNet and EfficientNet-X trained by the same recipe and measured in turns.

    python benchmarks/quality/family.py DATA [--images 6000] [--trials 24] [--epochs 9] [--final-epochs 18]
    python benchmarks/quality/family.py DATA --platform h200 --device cuda --batch 128 --precision bf16 \
        --execution graph --images 0 --recipe precision=amp-bf16 batch=512 learning_rate=0.004 --workers 8

DATA is a data set's name or folder, such as the four idx files of Fashion-MNIST. Searches from Python for this
very machine, in a folder that it can be resumed from (build/family-DATA-SEED), and writes what came of it to
benchmarks/results/family-DATA-DEVICE.csv: a row a network, with test accuracy, measured and predicted latency; and to
candidates-DATA-DEVICE.csv: a row a candidate, with the accuracy after as many epochs as it had. A GPU needs the name
of the platform whose estimates its measurements correct. `--study FILE` only writes the table of a study's candidates.
"""

import argparse
import csv
import re
from pathlib import Path

from modelwright.cli.live import live
from modelwright.cli.measure import commit
from modelwright.cli.search import pair
from modelwright.records import Findings, Member, Plan
from modelwright.report import result, search_page
from modelwright.search import Site, plan_for, search
from modelwright.search.family import ROUNDS, Taken
from modelwright.search.study import Study
from modelwright.training import dataset

PLANNED = ("platform", "batch", "precision", "execution", "trials", "seed", "images")
ROOT = Path(__file__).parents[2]


def row(findings: Findings, member: Member) -> dict[str, object]:
    """What the table tells of one network."""
    taken, learning = member.measurement, member.learning
    return {
        "network": member.name,
        "role": "reference" if member.trial is None else "family",
        "test_accuracy": f"{learning.test_accuracy or 0:.4f}",
        "validation_accuracy": f"{learning.accuracy:.4f}",
        "measured_s": f"{taken.median_s:.6g}" if taken else "",
        "spread": f"{taken.spread:.3g}" if taken else "",
        "predicted_s": f"{member.counted.get('latency_s', 0):.6g}",
        "estimated_s": f"{member.estimates['latency_s']:.6g}",
        "params": int(member.estimates["params"]),
        "flops": int(member.estimates["flops"]),
        "epochs": len(learning.epochs),
        "images": findings.plan.images,
        "batch": findings.plan.batch,
        "threads": findings.device.threads,
        "precision": findings.plan.precision,
        "execution": findings.plan.execution,
        "device": findings.device.name,
        "torch": findings.device.versions.get("torch", ""),
        "commit": findings.device.commit,
    }


def candidates(study: Study) -> list[dict[str, object]]:
    """What the table tells of each candidate; those that were measured before the family was chosen have that too."""
    state, plan = study.state(), study.plan
    held = [state.note(f"measured-verify-{turn}", Taken) for turn in range(ROUNDS)]
    measured = {row.architecture: row.median_s for taken in held if taken for row in taken.rows}
    return [
        {
            "trial": trial.number,
            "state": trial.state,
            "epochs": trial.budget,
            "validation_accuracy": f"{trial.values.get('accuracy', 0):.4f}",
            "predicted_s": f"{trial.values.get('latency_s', 0):.6g}",
            "measured_s": f"{measured[f'trial-{trial.number}']:.6g}" if f"trial-{trial.number}" in measured else "",
            "params": int(trial.values.get("params", 0)),
            "flops": int(trial.values.get("flops", 0)),
            "batch": plan.batch,
            "precision": plan.precision,
            "execution": plan.execution,
            "training": f"{plan.recipe.precision}, batch {plan.recipe.batch}",
            "device": trial.learning.device.name if trial.learning and trial.learning.device else "",
            "torch": trial.learning.device.versions.get("torch", "")
            if trial.learning and trial.learning.device
            else "",
        }
        for trial in state.trials.values()
    ]


def write(kind: str, word: str, rows: list[dict[str, object]]) -> None:
    """Write a table whose name ends in the device's."""
    device = re.sub(r"[^a-z0-9]+", "-", str(rows[0]["device"]).lower()).strip("-")
    file = ROOT / "benchmarks" / "results" / f"{kind}-{word}-{device}.csv"
    with file.open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"wrote {file}")


def arguments() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--final-epochs", type=int, default=18)
    parser.add_argument("--recipe", nargs="+", default=[], metavar="NAME=VALUE")
    parser.add_argument("--platform", default="")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--execution", default="eager")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--study", type=Path)
    return parser.parse_args()


def asked(given: argparse.Namespace) -> Plan:
    """The plan."""
    return plan_for(
        dataset(given.data, seed=given.seed),
        source="calibrated",
        epochs=(given.epochs, given.final_epochs),
        training=dict(map(pair, given.recipe)),
        **{name: getattr(given, name) for name in PLANNED},
    )


def main() -> None:
    """Search, write."""
    given = arguments()
    word = re.sub(r"[^a-z0-9]+", "-", Path(given.data).name.lower()).strip("-")
    if given.study:
        write("candidates", word, candidates(Study.open(given.study)))
        return
    plan = asked(given)
    folder = ROOT / "build" / f"family-{word}-{given.seed}"
    with live("latency_s") as report:
        site = Site(folder, given.device, given.threads, given.workers, commit=commit(), report=report)
        findings = search(plan, site, resume=True)
    (folder / "report.html").write_text(search_page(findings), encoding="utf-8")
    rows = [row(findings, member) for member in (*findings.family, *findings.references)]
    write("family", word, rows)
    write("candidates", word, candidates(Study.open(site.study)))
    print(result(findings))


if __name__ == "__main__":
    main()
