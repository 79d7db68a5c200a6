"""Two things measured in turns, so that whatever else the machine does hits both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

ROUNDS = 7


@dataclass(frozen=True)
class Result:
    """One claim as measured."""

    claim: str
    ours: str
    anchor: str
    ratio: float
    spread: tuple[float, float]
    goal: float
    more_is_better: bool = True

    @property
    def met(self) -> bool:
        return self.ratio >= self.goal if self.more_is_better else self.ratio <= self.goal

    @property
    def cells(self) -> Iterator[str]:
        """The result as words for a row of a table."""
        low, high = self.spread
        yield from (self.claim, self.ours, self.anchor, f"{self.ratio:.2f}", f"{low:.2f} to {high:.2f}")
        yield f"{'≥' if self.more_is_better else '≤'} {self.goal:.2f}"
        yield "met" if self.met else "missed"


HEADINGS = ("claim", "ours", "anchor", "ratio", "over the rounds", "goal", "")


def compare_rates(
    claim: str, ours: Callable[[], float], anchor: Callable[[], float], goal: float, rounds: int = ROUNDS
) -> Result:
    """The median of each round's ratio of operations per second, the order reversed in every other round."""
    pairs = []
    for number in range(rounds):
        if number % 2:
            second, first = anchor(), ours()
            pairs.append((first, second))
        else:
            pairs.append((ours(), anchor()))
    ratios = [first / second for first, second in pairs]
    return Result(
        claim,
        f"{median(first for first, _ in pairs):,.0f}/s",
        f"{median(second for _, second in pairs):,.0f}/s",
        median(ratios),
        (min(ratios), max(ratios)),
        goal,
    )
