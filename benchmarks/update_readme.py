"""Put the measured tables into README.md, from the result files of the benchmark scripts.

``make readme`` runs it. In `benchmarks/results`, benchmark.json is from ``imgfeat benchmark --out
benchmarks/results``, the others are from the scripts of their names.
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
    embedding = json.loads((results / "embedding.json").read_text())
    layers = json.loads((results / "layers.json").read_text())
    fashion = json.loads((results / "fashion.json").read_text())
    fusion = json.loads((results / "fusion.json").read_text())
    svm = json.loads((results / "svm.json").read_text())
    lines = [
        "Recipes on images that ship with scikit-image and scikit-learn, by `imgfeat benchmark`: "
        f"means of {_count_folds(recipes['summary'])}; textures are tested on halves of the "
        "pictures that they were not trained on. Tied is what the folds cannot tell from the best "
        f"(at commit {(recipes['environment']['commit'] or 'unknown')[:12]}):",
        "",
        "| data | recipe | verdict | accuracy | macro F1 | fit s | images/s | features |",
        "|---|---|---|---|---|---|---|---|",
        *(_recipe_row(row) for row in recipes["summary"] if "error" not in row),
        "",
        "All of Fashion-MNIST in its official split with frozen features, one kernel for each "
        "family (the data set's own table: HOG and an SVM 0.926, VGG16 trained on it 0.935):",
        "",
        "| what | accuracy | features s | fit s | images/s |",
        "|---|---|---|---|---|",
        *(_fashion_row(row) for row in fashion["rows"]),
        "",
        *_describe_fusion(fusion["rows"]),
        "",
        f"Support vector machines on {svm['n_train']:,} images of Fashion-MNIST, "
        f'{svm["n_features"]:,} HOG features, all with C=10 and gamma="scale"; each fitted once, '
        "on a machine that had other work as well:",
        "",
        "| head | accuracy | fit s | images/s |",
        "|---|---|---|---|",
        *(_svm_row(row) for row in svm["rows"]),
        "",
        *_describe_recipes(results / "recipes_fashion-mnist.json"),
        "Features against their peers, one thread; equal results are checked first, except against "
        "OpenCV and mahotas, which define theirs otherwise:",
        "",
        "| case | images a batch | imgfeat µs an image | peer | peer µs an image | times faster |",
        "|---|---|---|---|---|---|",
        *(_case_row(case) for case in features["cases"]),
        "",
        "Networks on the CPU: EfficientNet-Lite0 at 224x224, on one thread unless said, against "
        "torch eager with the same weights, and from JPEG files against a loop of PIL, torchvision "
        "and one call an image; features are compared first:",
        "",
        "| case | imgfeat ms an image | peer | peer ms an image | times faster |",
        "|---|---|---|---|---|",
        *(_embedding_row(case) for case in embedding["cases"]),
        "",
        *_describe_accuracy(embedding["accuracy"]),
        "Which layers of that network make the best features (RBF SVM with C=10, nothing tuned, "
        f"images at {layers['size']}x{layers['size']}; the ten best and the usual last layer):",
        "",
        f"| layers | pooling | grid | features | {' | '.join(layers['rows'][0]['accuracy'])} |",
        "|---|---|---|---|" + "---|" * len(layers["rows"][0]["accuracy"]),
        *(_layer_row(row) for row in _choose_rows(layers["rows"])),
        "",
        *_describe_tuning(results / "tuning.json"),
        *_describe_streaming(results / "streaming.json"),
        *_describe_graphs(results / "graphs.json"),
        *_describe_runtime(results / "runtime.json"),
        f"Measured on {features['environment']['machine']['processor']}.",
    ]
    return "\n".join(lines)


def _count_folds(rows: list[dict[str, Any]]) -> str:
    folds = {row["data"]: row["repeats"] for row in rows}
    return ", ".join(f"{count} folds of {data}" for data, count in folds.items())


def _recipe_row(row: dict[str, Any]) -> str:
    return (
        f"| {row['data']} | {row['recipe']} | {row['verdict']} | {row['accuracy']:.3f} | "
        f"{row['macro_f1']:.3f} | "
        f"{row['fit_seconds']:.2f} | {row['images_per_second']:,.0f} | {row['n_features']:,.0f} |"
    )


def _fashion_row(row: dict[str, Any]) -> str:
    return (
        f"| {row['name']} | {row['accuracy']:.4f} | {row['feature_seconds']:.0f} | "
        f"{row['fit_seconds']:.0f} | {row['images_per_second']:,.0f} |"
    )


def _svm_row(row: dict[str, Any]) -> str:
    return (
        f"| {row['name']} | {row['accuracy']:.4f} | {row['fit_seconds']:,.0f} | "
        f"{row['images_per_second']:,.0f} |"
    )


def _describe_recipes(path: Path) -> list[str]:
    if not path.exists():
        return []
    rows = sorted(json.loads(path.read_text())["rows"], key=lambda row: -row["accuracy"])
    return [
        f"Every recipe on Fashion-MNIST: {rows[0]['n_train']:,} of its images to train on, the "
        f"{rows[0]['n_test']:,} of its test set to test on, features included; on a machine that "
        "had other work as well:",
        "",
        "| recipe | accuracy | fit s | images/s | model MB | peak memory MB |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row['recipe']} | {row['accuracy']:.4f} | {row['fit_seconds']:,.0f} | "
            f"{row['images_per_second']:,.0f} | {row['model_megabytes']:,.1f} | "
            f"{row['peak_megabytes']:,.0f} |"
            for row in rows
        ),
        "",
    ]


def _describe_fusion(rows: list[dict[str, Any]]) -> list[str]:
    names, data = (list(dict.fromkeys(row[key] for row in rows)) for key in ("name", "data"))
    means = {(row["name"], row["data"]): statistics.mean(row["accuracy"]) for row in rows}
    splits = max(len(row["accuracy"]) for row in rows)
    return [
        "Families of features alone and together, RBF SVMs with C=10 (smooth ones with a gamma of "
        f"0.3 times 1 / d); means of {splits} splits, of 4 for textures; Fashion-MNIST with "
        "10,000 images to train on, sign-digits 70/30:",
        "",
        f"| features | {' | '.join(data)} |",
        "|---|" + "---|" * len(data),
        *(
            f"| {name} | " + " | ".join(f"{means[name, source]:.4f}" for source in data) + " |"
            for name in names
        ),
    ]


def _describe_graphs(path: Path) -> list[str]:
    if not path.exists():
        return []
    rows = []
    for case in json.loads(path.read_text())["cases"]:
        times = {who: statistics.median(values) for who, values in case["us_per_image"].items()}
        rows.append(
            f"| {case['case']} | {case['batch']} | {times['graph']:.0f} | {times['kernel']:.0f} | "
            f"{times['scikit-image']:,.0f} | {times['scikit-image'] / times['graph']:.0f} |"
        )
    return [
        "HOG and LBP as ONNX graphs, one thread; features are compared first:",
        "",
        "| graph | images a batch | µs an image | imgfeat's kernel | scikit-image | times faster |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
    ]


def _describe_runtime(path: Path) -> list[str]:
    if not path.exists():
        return []
    content = json.loads(path.read_text())
    rows = []
    for row in content["rows"]:
        times = row["milliseconds"]
        own = times["imgfeat ONNX"]
        peers = [
            f"{times[who]['median']:.2f}" if who in times else ""
            for who in ("imgfeat pipeline", "scikit-image pipeline", "bare CNN session")
        ]
        rows.append(
            f"| {row['recipe']} | {own['median']:.2f} | {own['p99']:.2f} | {' | '.join(peers)} | "
            f"{row['file_megabytes']:.1f} | {row['load_seconds']:.2f} |"
        )
    return [
        f"One image to its label, in milliseconds: exported files, the pipelines themselves, the "
        "same heads behind scikit-image's features, and the network alone; medians of "
        f"{content['repeats']} calls on one thread, labels compared first:",
        "",
        "| recipe | file | p99 | pipeline | with scikit-image | network alone | file MB | load s |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
        "",
    ]


def _case_row(case: dict[str, Any]) -> str:
    own, other = (statistics.median(case["us_per_image"][n]) for n in ("imgfeat", case["peer"]))
    return (
        f"| {case['case']} | {case['images']['imgfeat']:,} | {own:.1f} | {case['peer']} | "
        f"{other:,.0f} | {case['ratio_median']:.0f} |"
    )


def _embedding_row(case: dict[str, Any]) -> str:
    own, other = (statistics.median(case["ms_per_image"][n]) for n in ("imgfeat", case["peer"]))
    times = f"{own:.2f} | {case['peer']} | {other:.2f}"
    return f"| {case['case']} | {times} | {case['ratio_median']:.2f} |"


def _describe_accuracy(accuracy: dict[str, Any] | None) -> list[str]:
    if accuracy is None:
        return []
    exact, rough = (statistics.mean(accuracy["accuracy"][p]) for p in ("fp32", "int8"))
    splits = len(accuracy["accuracy"]["fp32"])
    return [
        f"On {accuracy['data']} ({splits} splits) int8 features reach {rough:.4f} where fp32 ones "
        f"reach {exact:.4f}.",
        "",
    ]


def _choose_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    last = [row for row in rows if row["layers"] == "last" and row["grid"] == 1]
    return rows[:10] + [row for row in last if row not in rows[:10]]


def _layer_row(row: dict[str, Any]) -> str:
    scores = " | ".join(f"{statistics.mean(values):.4f}" for values in row["accuracy"].values())
    pooling = " + ".join(row["pooling"])
    return f"| {row['layers']} | {pooling} | {row['grid']} | {row['n_features']:,} | {scores} |"


def _describe_tuning(path: Path) -> list[str]:
    if not path.exists():
        return []
    tuning = json.loads(path.read_text())
    overhead, cache = tuning["overhead_milliseconds"], tuning["cache_seconds"]
    best = tuning["rows"][0]["seconds"]
    return [
        f"Searches over HOG, LBP and an SVM on {tuning['data']} ({tuning['n_images']:,} images, "
        f"{tuning['n_trials']} trials of 3 folds; the same space, folds, sampler and seed, one "
        "thread):",
        "",
        "| search | features | seconds | times as long | best score |",
        "|---|---|---|---|---|",
        *(
            f"| {row['search']} | {row['features']} | {row['seconds']:.1f} | "
            f"{row['seconds'] / best:.1f} | {row['best_score']:.4f} |"
            for row in tuning["rows"]
        ),
        "",
        f"The search itself takes {overhead['memory']:.1f} ms a trial, {overhead['SQLite']:.1f} ms "
        "with its trials in SQLite. A network's features from the disk come "
        f"{cache['cold'] / cache['warm']:.0f} times sooner than computed.",
        "",
    ]


def _describe_streaming(path: Path) -> list[str]:
    if not path.exists():
        return []
    streaming = json.loads(path.read_text())
    return [
        f"{streaming['n_images']:,} colour images of 96x96, made when asked for, streamed through "
        f"ImageLoader, HOG and LBP into a file by `Batched(n_jobs={streaming['n_jobs']})`:",
        "",
        "| cache | seconds | images/s | peak MB |",
        "|---|---|---|---|",
        *(
            f"| {row['step']} | {row['seconds']:.0f} | {row['images_per_second']:,.0f} | "
            f"{row['peak_megabytes']:,.0f} |"
            for row in streaming["rows"]
        ),
        "",
    ]


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
