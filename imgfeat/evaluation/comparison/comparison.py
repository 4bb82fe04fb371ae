"""The result of a comparison: scores, pairwise tests, and a table of the recipes."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat.evaluation.comparison.runs import Run
from imgfeat.evaluation.comparison.significance import Difference
from imgfeat.evaluation.report.layout import (
    NOTHING,
    format_columns,
    format_markdown,
    name_metric,
    replace_nan,
)

WINNER, LEADER, TIED = "winner", "best, but tied", "tied with the best"
WORSE, ALONE, FAILED = "worse than the best", "alone", "failed"
# With fewer folds, the t-test has so few degrees of freedom that it detects only large differences.
MANY_FOLDS = 10
TESTS = {
    "corrected_t": "corrected resampled t-test over {n} folds",
    "bootstrap": "paired bootstrap over the test images",
}

PairwiseDifferences = dict[tuple[str, str], Difference]


@dataclass(frozen=True)
class Row:
    """One recipe's row of the table.

    Attributes
    ----------
    recipe : str
    mean, sd : float
        Mean and standard deviation of the score over the folds; the latter is NaN for one fold.
    difference, low, high : float
        Difference to the best recipe, with its interval; NaN for the best recipe itself.
    p : float
        p-value of that difference, with the correction for all pairs.
    verdict : str
        For the recipe with the highest mean, "winner" if it is significantly better than all
        others, or else "best, but tied"; for the others, "worse than the best" if significant, or
        else "tied with the best". "alone" if there is no other recipe, "failed" if a fold failed.
    error : str or None
        Error message of a recipe that failed.
    """

    recipe: str
    mean: float
    sd: float
    difference: float
    low: float
    high: float
    p: float
    verdict: str
    error: str | None = None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Result of `imgfeat.evaluation.compare`; ``print`` shows it as a table.

    Attributes
    ----------
    scoring : list of str
        Names of the scorers; the winner is determined by the first one.
    runs : list of Run
        Every recipe on every fold.
    scores : dict of str to dict of str to ndarray of shape (n_folds,)
        By scorer and recipe; recipes that failed on a fold are left out.
    differences : dict of str to dict of (str, str) to Difference
        By scorer and pair of recipes: the score of the first minus that of the second.
    test : {"corrected_t", "bootstrap"}
    correction : {"holm", "bonferroni", "none"}
    alpha : float
    """

    scoring: list[str]
    runs: list[Run] = field(repr=False)
    scores: dict[str, dict[str, NDArray[np.float64]]] = field(repr=False)
    differences: dict[str, PairwiseDifferences] = field(repr=False)
    test: str
    correction: str
    alpha: float

    @property
    def winner(self) -> str | None:
        """The recipe significantly better than all others by the first scorer, or None."""
        return next((row.recipe for row in self.rows() if row.verdict == WINNER), None)

    def difference(self, first: str, second: str, scoring: str | None = None) -> Difference:
        """Return the difference of the first recipe's score to the second's, with its test."""
        pairs = self.differences[scoring or self.scoring[0]]
        if (first, second) in pairs:
            return pairs[first, second]
        found = pairs[second, first]
        return Difference(-found.value, -found.high, -found.low, found.p, found.p_adjusted)

    def rows(self, scoring: str | None = None) -> list[Row]:
        """Return the rows of the table of one scorer, the best recipe first.

        Parameters
        ----------
        scoring : str, default=None
            Name of the scorer; the first one by default.

        Returns
        -------
        rows : list of Row
        """
        scoring = scoring or self.scoring[0]
        scores = self.scores[scoring]
        order = sorted(scores, key=lambda recipe: -scores[recipe].mean())
        rows = [self._make_row(recipe, order, scoring) for recipe in order]
        errors: dict[str, str] = {}
        for run in self.runs:
            if run.error is not None:
                errors.setdefault(run.recipe, run.error)
        nothing = (math.nan,) * 6
        return rows + [Row(name, *nothing, FAILED, error) for name, error in errors.items()]

    def table(self, scoring: str | None = None) -> str:
        """Return the table of one scorer, and its summary from `describe`, as text."""
        return "\n".join(
            [format_columns(self._cells(scoring)), *self._list_errors(scoring), "",
             self.describe(scoring)]
        )  # fmt: skip

    def to_markdown(self, scoring: str | None = None) -> str:
        """Return the table of one scorer, and its summary from `describe`, as Markdown."""
        parts = [format_markdown(self._cells(scoring)), *self._list_errors(scoring)]
        return "\n\n".join([*parts, self.describe(scoring)]) + "\n"

    def describe(self, scoring: str | None = None) -> str:
        """Return which recipe is best, if any is, and by which test."""
        rows = [row for row in self.rows(scoring) if row.verdict != FAILED]
        tied = [row.recipe for row in rows if row.verdict == TIED]
        if not rows:
            return "Every recipe failed."
        best, folds = rows[0], len(self.scores[scoring or self.scoring[0]][rows[0].recipe])
        if best.verdict == ALONE:
            return f"There is no other recipe to compare {best.recipe} with."
        if best.verdict == WINNER:
            verdict = f"{best.recipe} is significantly better than every other recipe."
        else:
            verdict = (
                f"No winner: {best.recipe} is not significantly better than {', '.join(tied)}."
            )
            if self.test == "corrected_t" and folds < MANY_FOLDS:
                verdict += " With more repeats, the test detects smaller differences."
        test = TESTS[self.test].format(n=folds)
        corrected = "no correction" if self.correction == "none" else f"{self.correction.title()}'s"
        return f"{verdict} ({test}; {corrected} for all pairs; alpha {self.alpha:g})"

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as a dict for ``json.dumps``; undefined numbers are None."""
        return {
            "test": self.test,
            "correction": self.correction,
            "alpha": self.alpha,
            "winner": self.winner,
            "rows": {
                name: [replace_nan(asdict(row)) for row in self.rows(name)] for name in self.scoring
            },
            "pairs": {
                name: [
                    {"first": a, "second": b, **replace_nan(asdict(d))}
                    for (a, b), d in pairs.items()
                ]
                for name, pairs in self.differences.items()
            },
            "runs": [run.to_dict() for run in self.runs],
        }

    def __str__(self) -> str:
        return "\n\n".join(self.table(name) for name in self.scoring)

    def _make_row(self, recipe: str, order: list[str], scoring: str) -> Row:
        values, best = self.scores[scoring][recipe], order[0]
        sd = float(values.std(ddof=1)) if len(values) > 1 else math.nan
        if recipe == best:
            others = [self.difference(best, name, scoring) for name in order[1:]]
            wins = all(other.p_adjusted <= self.alpha and other.value > 0 for other in others)
            verdict = (WINNER if wins else LEADER) if others else ALONE
            return Row(recipe, float(values.mean()), sd, *(math.nan,) * 4, verdict)
        found = self.difference(recipe, best, scoring)
        verdict = WORSE if found.p_adjusted <= self.alpha and found.value < 0 else TIED
        return Row(
            recipe,
            float(values.mean()),
            sd,
            found.value,
            found.low,
            found.high,
            found.p_adjusted,
            verdict,
        )

    def _cells(self, scoring: str | None) -> list[tuple[str, ...]]:
        interval = "interval" if self.correction == "none" else "joint interval"
        name = name_metric(scoring or self.scoring[0])
        header = ("recipe", name, "sd", "difference", interval, "p", "verdict")
        return [header, *(_format(row) for row in self.rows(scoring) if row.error is None)]

    def _list_errors(self, scoring: str | None) -> list[str]:
        failed = [row for row in self.rows(scoring) if row.error is not None]
        return [f"{row.recipe} failed: {row.error}" for row in failed]


def _format(row: Row) -> tuple[str, ...]:
    interval = f"[{row.low:+.4f}, {row.high:+.4f}]"
    return (
        row.recipe,
        f"{row.mean:.4f}",
        _show(row.sd, ".4f"),
        _show(row.difference, "+.4f"),
        NOTHING if math.isnan(row.low) else interval,
        _show(row.p, ".3f"),
        row.verdict,
    )


def _show(number: float, form: str) -> str:
    return NOTHING if math.isnan(number) else f"{number:{form}}"
