"""Writes the tables of docs/guard-results.md from benchmarks/results: python docs/generate_guard.py."""

import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import mean, median, stdev

sys.path.insert(0, str(Path(__file__).parent))  # `generated` is met by its name, however this is run

from generated import Rows, read, renewed, table, write

PAGE = Path(__file__).with_name("guard-results.md")
PLACE = "amd-epyc"
BUDGETS = ("0.05", "0.1", "0.15", "0.2")
SETS = ("open", "aside", "all")
GUARDS = ("held-out classes", "familiar rows alone", "real outliers")
POLICIES = ("uncertainty", "toxicity", "mix with toxicity", "shift", "unfamiliarity", "mix with unfamiliarity")


def page(text: str) -> str:
    """The page with each generated part made anew."""
    return renewed(text, PARTS)


def results(word: str) -> Rows:
    """The rows of one of the guard's files."""
    return read(f"guard-{word}-{PLACE}.csv")


def numbers(rows: Iterable[dict[str, str]], key: str) -> list[float]:
    """One column."""
    return [float(row[key]) for row in rows]


def groups(rows: Rows, *keys: str) -> dict[tuple[str, ...], Rows]:
    """Rows that agree in all keys, in the order in which they are met."""
    found: dict[tuple[str, ...], Rows] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return found


def percent(values: list[float], places: int = 1, spread: Callable[[list[float]], float] | None = None) -> str:
    """The mean, of several with their spread, in percent."""
    text = f"{100 * mean(values):.{places}f}"
    return f"{text} ± {100 * spread(values):.{places}f}" if spread and len(values) > 1 else text


def error(values: list[float]) -> float:
    """Standard error of the mean."""
    return stdev(values) / math.sqrt(len(values))


def detectors(kind: str) -> str:
    """Ours and pytorch-ood's on out-of-scope queries, the best first."""
    found = groups([row for row in results("detectors") if row["features"] == kind], "strength", "detector")
    keys = ("auroc", "fpr95", "fpr95_outliers")
    rows = []
    for (strength, name), both in sorted(found.items(), key=lambda one: (float(one[0][0]), -float(one[1][0]["auroc"]))):
        ours = both[0]
        theirs = next((row for row in both if row["library"] == "pytorch-ood"), None)
        cells = [percent([float(one[key])]) if one else "" for one in (ours, theirs) for key in keys]
        rows.append((strength, f"`{name}`", *cells, percent([float(ours["unavailable"])])))
    heads = ("AUROC", "FPR95", "FPR95, outliers positive")
    return table(
        ("strength", "detector", *heads, *(f"pytorch-ood's {head}" for head in heads), "without a score"), rows
    )


def intents() -> str:
    """Methods of training, and detectors on a linear head, on held-out intents."""
    found = groups(results("intents"), "method", "score")
    trained = [(names, rows) for names, rows in found.items() if names[0] != "linear head"]
    linear = sorted((one for one in found.items() if one[0][0] == "linear head"), key=lambda one: -mean_of(one[1]))
    return table(
        ("method", "score", "chosen in", "AUROC", "FPR95", "accuracy"),
        [
            (method, f"`{score}`", f"{sum(row['chosen'] == '1' for row in rows)} of {len(rows)}",
             percent(numbers(rows, "auroc"), 1, stdev), percent(numbers(rows, "fpr95"), 1, stdev),
             percent(numbers(rows, "accuracy")))
            for (method, score), rows in (*trained, *linear)
        ],
    )  # fmt: skip


def mean_of(rows: Rows) -> float:
    """Mean AUROC."""
    return mean(numbers(rows, "auroc"))


def regrets() -> list[dict[str, str | float]]:
    """Of each data set and deal what was chosen, against the best and the median detector."""
    found: list[dict[str, str | float]] = []
    for (data, seed), rows in sorted(groups(results("choice"), "data", "seed").items()):
        (chosen,) = (row for row in rows if row["chosen"] == "1")
        told: dict[str, str | float] = {"data": data, "seed": seed, "chosen": chosen["detector"]}
        told["confidence"] = float(chosen["confidence"])
        for key in ("coverage", "auroc"):
            best = max(rows, key=lambda row: float(row[key]))
            told[f"{key} best"] = best["detector"]
            told[key], told[f"{key} median"] = float(chosen[key]), median(numbers(rows, key))
            told[f"{key} regret"] = float(best[key]) - float(chosen[key])
        found.append(told)
    return found


def choice() -> str:
    """The choice and its regret."""
    rows = []
    for one in regrets():
        cells = []
        for key in ("coverage", "auroc"):
            cells += [f"{100 * float(one[key]):.1f}", f"{100 * float(one[f'{key} median']):.1f}",
                      f"`{one[f'{key} best']}`", f"{100 * float(one[f'{key} regret']):.1f}"]  # fmt: skip
        rows.append((str(one["data"]), str(one["seed"]), f"`{one['chosen']}`", f"{one['confidence']:.2f}", *cells))
    heads = ["data", "deal", "chosen", "confidence"]
    for word in ("coverage", "AUROC"):
        heads += [word, f"median {word}", f"best {word}", f"{word} regret"]
    return table(heads, rows)


def promises() -> str:
    """Promised against achieved risk."""
    rows = []
    for (kind, guard, share), group in sorted(
        groups(results("guarantee"), "features", "guard", "share").items(),
        key=lambda one: (one[0][0], GUARDS.index(one[0][1]), float(one[0][2])),
    ):
        over = sum(float(row["risk"]) > float(row["promised_risk"]) for row in group)
        given = [row for row in group if row["holds"] == "1"]
        rows.append((kind, guard, f"{float(share):.0%}", f"{float(group[0]['promised_risk']):.0%}",
                     f"{len(given)} of {len(group)}", percent(numbers(group, "risk"), 2, stdev), str(over),
                     percent(numbers(group, "coverage")), percent(numbers(group, "outliers_accepted"))))  # fmt: skip
    heads = ("features", "calibrated with", "outliers in the traffic", "promised", "promise given", "achieved, %",
             "times above the promise", "coverage, %", "outliers accepted, %")  # fmt: skip
    return table(heads, rows)


def gains(rows: Rows, key: str) -> list[float]:
    """By split, what a policy has more than uncertainty, mean over the budgets."""
    base = {(row["set"], row["strength"], row["split"], row["share"]): float(row[key])
            for row in results("moderation") if row["policy"] == "uncertainty"}  # fmt: skip
    by_split = groups([row for row in rows if row["share"] in BUDGETS], "set", "strength", "split")
    return [
        mean(float(row[key]) - base[row["set"], row["strength"], row["split"], row["share"]] for row in split)
        for split in by_split.values()
    ]


def moderated() -> list[tuple[tuple[str, ...], Rows]]:
    """Rows by set, strength and policy, in the page's order."""
    found = groups(results("moderation"), "set", "strength", "policy")
    return sorted(found.items(), key=lambda one: (SETS.index(one[0][0]), float(one[0][1]), POLICIES.index(one[0][2])))


def caught() -> str:
    """Share of errors that each policy meets."""
    rows = []
    for (name, strength, policy), group in moderated():
        cells = [percent(numbers((r for r in group if r["share"] == share), "caught"), 1, error) for share in BUDGETS]
        gain = percent(gains(group, "caught"), 1, error) if policy != "uncertainty" else ""
        rows.append((name, strength, policy, *cells, gain))
    heads = ("set", "strength", "policy", *(f"errors caught at {float(share):.0%}" for share in BUDGETS), "gain")
    return table(heads, rows)


def together() -> str:
    """Model and people, 10 % of the tweets reviewed."""
    rows = []
    for (name, strength, policy), group in moderated():
        if name == "all":
            continue
        here = [row for row in group if row["share"] == "0.1"]
        keys = ("alone_accuracy", "accuracy", "accuracy_fallible", "alone_auroc", "auroc", "auroc_fallible")
        rows.append((name, strength, policy, *(percent(numbers(here, key)) for key in keys)))
    heads = ("set", "strength", "policy", "accuracy alone", "with perfect reviewers", "with those that err",
             "AUROC alone", "with perfect reviewers", "with those that err")  # fmt: skip
    return table(heads, rows)


PARTS: dict[str, Callable[[], str]] = {
    "minilm": lambda: detectors("minilm"),
    "tf-idf": lambda: detectors("tf-idf"),
    "intents": intents,
    "choice": choice,
    "promises": promises,
    "caught": caught,
    "together": together,
}

if __name__ == "__main__":
    write(PAGE, PARTS)
