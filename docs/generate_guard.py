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
GUARDS = ("held-out classes", "networks without classes", "familiar rows alone", "real outliers")
POLICIES = ("uncertainty", "toxicity", "mix with toxicity", "shift", "unfamiliarity", "mix with unfamiliarity")

FAR = ("other images", "noise", "textures")
"""Kinds of images that are far from every class."""
KINDS = ("held-out classes: AUROC", "FPR95", *(head for kind in FAR for head in (f"{kind}: AUROC", "FPR95")))


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


def regrets(word: str = "choice", *keys: str) -> list[dict[str, str | float]]:
    """Of each data set and deal, and of more keys, what was chosen, against the best and the median detector."""
    found: list[dict[str, str | float]] = []
    for names, rows in sorted(groups(results(word), "data", "seed", *keys).items()):
        (chosen,) = (row for row in rows if row["chosen"] == "1")
        told: dict[str, str | float] = {**dict(zip(("data", "seed", *keys), names, strict=True)),
                                        "chosen": chosen["detector"]}  # fmt: skip
        told["confidence"] = float(chosen["confidence"])
        for key in ("coverage", "auroc"):
            best = max(rows, key=lambda row: (float(row[key]), row["chosen"]))  # of equals the chosen one
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


def deals() -> str:
    """How classes of images were dealt out, and how well networks know those that are familiar."""
    rows = []
    whole = groups(results("vision-detectors"), "data", "seed")
    for names, found in groups(results("vision-methods"), "data", "seed").items():
        plain = next(row for row in found if row["method"] == "plain")
        cells = (plain[key] for key in ("held_out", "chosen_on", "learned_from", "familiar"))
        eight = {row["smoothing"]: percent([float(row["accuracy"])]) for row in whole[names]}
        told = ", ".join(f"{accuracy} ({smoothing})" for smoothing, accuracy in sorted(eight.items(), reverse=True))
        rows.append((*names, *cells, told, percent([float(plain["accuracy"])])))
    heads = ("data", "deal", "held out", "chosen on", "learned from", "familiar to the methods",
             "accuracy of the eight (smoothing)", "accuracy of the five")  # fmt: skip
    return table(heads, rows)


def by_kind(rows: Rows) -> tuple[str, ...]:
    """AUROC and FPR95 on held-out classes deal by deal, and means on what is far."""
    kinds = groups(rows, "outliers")
    near = kinds["held-out classes",]
    cells = [" / ".join(percent([value]) for value in numbers(near, key)) for key in ("auroc", "fpr95")]
    for kind in FAR:
        cells += [percent(numbers(kinds[kind,], key)) for key in ("auroc", "fpr95")]
    return tuple(cells)


def vision(data: str) -> str:
    """Detectors on networks of eight classes, the best on held-out ones first."""
    rows = [row for row in results("vision-detectors") if row["data"] == data]
    ours = groups([row for row in rows if row["library"] == "modelwright"], "smoothing", "detector")
    theirs = groups([row for row in rows if row["library"] == "pytorch-ood"], "smoothing", "detector")
    made = []
    for (smoothing, name), found in sorted(ours.items(), key=lambda one: (one[0][0], -near_of(one[1]))):
        others = numbers(theirs.get((smoothing, name), []), "auroc")
        apart = [abs(one - other) for one, other in zip(numbers(found, "auroc"), others, strict=False)]
        made.append((smoothing, f"`{name}`", *by_kind(found), f"{100 * max(apart):.1f}" if apart else ""))
    return table(("smoothing", "detector", *KINDS, "pytorch-ood's AUROC, largest difference"), made)


def near_of(rows: Rows) -> float:
    """Mean AUROC on held-out classes."""
    return mean(numbers((row for row in rows if row["outliers"] == "held-out classes"), "auroc"))


def schooled(data: str) -> str:
    """Methods of training, and detectors on the plain network, by what they make of each kind of outliers."""
    found = groups([row for row in results("vision-methods") if row["data"] == data], "method", "score")
    trained = [(names, rows) for names, rows in found.items() if names[0] != "detector"]
    after = sorted((one for one in found.items() if one[0][0] == "detector"), key=lambda one: -near_of(one[1]))
    rows = []
    for (method, score), group in (*sorted(trained, key=lambda one: one[0][0]), *after):
        deals_of = groups(group, "seed")
        chosen = f"{sum(rows[0]['chosen'] == '1' for rows in deals_of.values())} of {len(deals_of)}"
        told = ("plain, then", f"`{score}`", "") if method == "detector" else (method, f"`{score}`", chosen)
        rows.append((*told, *by_kind(group), percent(numbers((one[0] for one in deals_of.values()), "accuracy"))))
    return table(("method", "score", "chosen in", *KINDS, "accuracy"), rows)


def image_choice() -> str:
    """The choice on images and its regret, deal by deal."""
    found: dict[tuple[str, ...], list[dict[str, str | float]]] = {}
    for one in regrets("vision-choice", "risk", "smoothing", "left_out_of"):
        found.setdefault(tuple(str(one[key]) for key in ("data", "risk", "smoothing", "left_out_of")), []).append(one)
    rows = []
    for (data, risk, smoothing, left_out_of), of in found.items():
        chosen = " / ".join(f"`{one['chosen']}`" for one in of)
        cells = (
            " / ".join(f"{100 * float(one[key]):.1f}" for one in of)
            for key in ("coverage", "coverage median", "coverage regret", "auroc", "auroc median", "auroc regret")
        )
        rows.append((data, f"{float(risk):.0%}", smoothing, left_out_of or "features, before", chosen, *cells))
    heads = ("data", "risk", "smoothing", "classes left out of", "chosen", "coverage", "median coverage",
             "coverage regret", "AUROC", "median AUROC", "AUROC regret")  # fmt: skip
    return table(heads, rows)


def image_promises() -> str:
    """Promised against achieved risk with 10 % outliers, which are of held-out classes of images."""
    rows = []
    keys = ("data", "smoothing", "deal")
    found = [row for row in results("vision-guarantee") if row["share"] == "0.1"]
    for row in sorted(found, key=lambda one: (*(one[key] for key in keys), GUARDS.index(one["guard"]))):
        cells = (
            f"{100 * float(row[f'{key}_mean']):.1f} ± {100 * float(row[f'{key}_deviation']):.1f}"
            if int(row["given"]) > 1
            else ""
            for key in ("risk", "coverage", "outliers_accepted")
        )
        given = f"{row['given']} of {row['repetitions']}"
        promised = f"{float(row['promised_risk']):.0%}"
        rows.append((*(row[key] for key in keys), row["guard"], promised, given, row["broken"], *cells))
    heads = ("data", "smoothing", "deal", "calibrated with", "promised", "promise given", "of these, broken",
             "achieved, %", "coverage, %", "outliers accepted, %")  # fmt: skip
    return table(heads, rows)


def fold_promises() -> str:
    """Promised against achieved risk with 10 % outliers, under the rule that asks for grounds."""
    rows = []
    keys = ("data", "smoothing", "deal")
    found = [row for row in results("vision-folds") if row["share"] == "0.1"]
    order = {name: place for place, name in enumerate(GUARDS)}
    for row in sorted(
        found, key=lambda one: (*(one[key] for key in keys), float(one["promised_risk"]), order[one["guard"]])
    ):
        cells = (
            f"{100 * float(row[f'{key}_mean']):.1f} ± {100 * float(row[f'{key}_deviation']):.1f}"
            if int(row["given"]) > 1
            else ""
            for key in ("risk", "coverage", "outliers_accepted")
        )
        given = f"{row['given']} of {row['repetitions']}"
        promised = f"{float(row['promised_risk']):.0%}"
        rows.append((*(row[key] for key in keys), promised, row["guard"], given, row["broken"], *cells))
    heads = ("data", "smoothing", "deal", "promised", "calibrated with", "promise given", "of these, broken",
             "achieved, %", "coverage, %", "outliers accepted, %")  # fmt: skip
    return table(heads, rows)


def neighbours() -> str:
    """How long KNN takes for a decision, and how far its distances are from exact ones, by ways to find neighbours."""
    found = groups(results("knn"), "features", "way")
    rows = []
    for (features, way), group in found.items():
        by = {row["batch"]: row for row in group}
        times = (by[batch][key] for batch in ("1", "256") for key in ("median_ms", "cpu_ms"))
        told = f"{percent(numbers(group, 'same'))}", f"{percent(numbers(group, 'excess'), 2)}"
        rows.append((features, way, *times, *told, percent(numbers(group, "auroc"))))
    heads = ("features", "way", "one decision, ms", "CPU", "of a batch of 256, ms", "CPU", "exact distances",
             "mean excess", "AUROC")  # fmt: skip
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
    "neighbours": neighbours,
    "promises": promises,
    "deals": deals,
    "fashion-mnist": lambda: vision("fashion_mnist"),
    "cifar-10": lambda: vision("cifar10"),
    "fashion-mnist-methods": lambda: schooled("fashion_mnist"),
    "cifar-10-methods": lambda: schooled("cifar10"),
    "image-choice": image_choice,
    "image-promises": image_promises,
    "fold-promises": fold_promises,
    "caught": caught,
    "together": together,
}

if __name__ == "__main__":
    write(PAGE, PARTS)
