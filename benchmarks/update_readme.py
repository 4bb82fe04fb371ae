"""Put the measured tables into README.md and docs/performance.md, from benchmarks/results.

``make readme`` runs it. benchmark.json is from ``imgfeat benchmark --out benchmarks/results``, the
other result files are from the scripts of their names. README.md has the most telling figures,
docs/performance.md has them all.
"""

import sys
from pathlib import Path

from performance_tables import render
from readme_table import render_summary

ROOT = Path(__file__).parents[1]
START = "<!-- measured: made by `make readme` from benchmarks/results/, do not edit -->"
END = "<!-- end measured -->"


def main() -> int:
    """Rewrite the parts of README.md and docs/performance.md between the two marks."""
    results = ROOT / "benchmarks" / "results"
    for page, tables in (
        (ROOT / "README.md", render_summary(results)),
        (ROOT / "docs" / "performance.md", render(results)),
    ):
        before, rest = page.read_text().split(START)
        _, after = rest.split(END)
        page.write_text(f"{before}{START}\n\n{tables}\n\n{END}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
