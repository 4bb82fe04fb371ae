"""Put the measured tables into README.md, from the result files of the benchmark scripts.

``make readme`` runs it. `benchmarks/results/features.json` is from bench_features.py,
`benchmarks/results/benchmark.json` from ``imgfeat benchmark --out benchmarks/results``.
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
START = "<!-- measured: made by `make readme` from benchmarks/results/, do not edit -->"
END = "<!-- end measured -->"


def render(results: Path) -> str:
    """Return the tables as Markdown."""
    recipes = json.loads((results / "benchmark.json").read_text())
    features = json.loads((results / "features.json").read_text())
    lines = [
        "Recipes on images that ship with scikit-image and scikit-learn (means of "
        f"{recipes['summary'][0]['repeats']} splits; textures are tested on halves of the "
        "pictures that they were not trained on):",
        "",
        "| data | recipe | accuracy | macro F1 | fit s | images/s | features |",
        "|---|---|---|---|---|---|---|",
        *(_recipe_row(row) for row in recipes["summary"] if "error" not in row),
        "",
        "Features against their peers, one thread; equal results are checked first, except against "
        "OpenCV and mahotas, which define theirs otherwise:",
        "",
        "| case | images a batch | imgfeat µs an image | peer | peer µs an image | times faster |",
        "|---|---|---|---|---|---|",
        *(_case_row(case) for case in features["cases"]),
        "",
        f"Measured on {features['environment']['machine']['processor']}.",
    ]
    return "\n".join(lines)


def _recipe_row(row: dict[str, Any]) -> str:
    return (
        f"| {row['data']} | {row['recipe']} | {row['accuracy']:.3f} | {row['macro_f1']:.3f} | "
        f"{row['fit_seconds']:.2f} | {row['images_per_second']:,.0f} | {row['n_features']:,.0f} |"
    )


def _case_row(case: dict[str, Any]) -> str:
    own, other = (statistics.median(case["us_per_image"][n]) for n in ("imgfeat", case["peer"]))
    return (
        f"| {case['case']} | {case['images']['imgfeat']:,} | {own:.1f} | {case['peer']} | "
        f"{other:,.0f} | {case['ratio_median']:.0f} |"
    )


def main() -> int:
    """Rewrite the part of README.md between the two marks."""
    readme = ROOT / "README.md"
    before, rest = readme.read_text().split(START)
    _, after = rest.split(END)
    tables = render(ROOT / "benchmarks" / "results")
    readme.write_text(f"{before}{START}\n\n{tables}\n\n{END}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
