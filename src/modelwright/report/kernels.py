"""What really ran: a runtime's kernels gathered by operator and numbers, and those that fell back to float."""

from collections import Counter
from collections.abc import Sequence

from modelwright.records import Kernel
from modelwright.report.markup import Data


def kernels_table(kernels: Sequence[Kernel]) -> Data:
    """A row an operator and its numbers; convolutions and products first, then by how many there are."""
    found = Counter((one.weighted, one.operator, one.numbers, one.integer) for one in kernels)
    ranked = sorted(found.items(), key=lambda entry: (not entry[0][0], -entry[1], entry[0]))
    rows = tuple(
        (operator, numbers, "integer" if integer else "float", "yes" if weighted else "", str(count))
        for (weighted, operator, numbers, integer), count in ranked
    )
    return Data(("operator", "numbers", "kind", "convolution or product", ">kernels"), rows)


def kernels_words(kernels: Sequence[Kernel]) -> str:
    """How many convolutions and products ran in whole numbers, and how many other kernels there are."""
    weighted = [one for one in kernels if one.weighted]
    whole = sum(one.integer for one in weighted)
    others = len(kernels) - len(weighted)
    return (
        f"{whole} of {len(weighted)} convolutions and products ran in whole numbers, as the runtime tells; "
        f"{others} other kernels ran beside them."
    )


def float_table(kernels: Sequence[Kernel]) -> Data:
    """Convolutions and products that ran in float, a row each, in the order of the runtime."""
    rows = tuple((one.name, one.operator, one.numbers) for one in kernels if one.weighted and not one.integer)
    return Data(("kernel", "operator", "numbers"), rows)
