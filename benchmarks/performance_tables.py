"""The tables of docs/performance.md: all that was measured, one section for each result file."""

import statistics
from collections.abc import Callable
from pathlib import Path

from markdown_tables import Content, format_table, read_results, take_medians


def render(results: Path) -> str:
    """Return all tables as Markdown, each under a heading of its own.

    Parameters
    ----------
    results : Path
        Folder of the result files.
    """
    sections: dict[str, tuple[str, Callable[[Content], list[str]]]] = {
        "Recipes on images that ship with packages": ("benchmark", _describe_benchmark),
        "Recipes on Fashion-MNIST": ("recipes_fashion-mnist", _describe_recipes),
        "All of Fashion-MNIST": ("fashion", _describe_fashion),
        "Feature groups alone and together": ("fusion", _describe_fusion),
        "Support vector machines": ("svm", _describe_svm),
        "HOG and LBP": ("features", _describe_features),
        "Networks on the CPU": ("embedding", _describe_embedding),
        "Layers of a network": ("layers", _describe_layers),
        "Searches": ("tuning", _describe_tuning),
        "Streaming": ("streaming", _describe_streaming),
        "HOG and LBP as ONNX graphs": ("graphs", _describe_graphs),
        "One image to its label": ("runtime", _describe_runtime),
        "Agreement of exported files with their pipelines": ("agreement", _describe_agreement),
        "Unexpected parts": ("choices", _describe_choices),
    }
    parts = []
    for heading, (name, describe) in sections.items():
        content = read_results(results, name)
        machine = content["environment"]["machine"]
        measured = f"Measured on {machine['processor']}, {machine['cores']} cores."
        parts.append("\n".join([f"## {heading}", "", *describe(content), "", measured]))
    return "\n\n".join(parts)


def _describe_benchmark(recipes: Content) -> list[str]:
    folds = {row["data"]: row["repeats"] for row in recipes["summary"]}
    counts = ", ".join(f"{count} folds of {data}" for data, count in folds.items())
    return [
        "Recipes on images that ship with scikit-image and scikit-learn, by `imgfeat benchmark`: "
        f"means of {counts}; textures are tested on halves of the "
        "pictures that they were not trained on. A recipe is tied with the best if the folds show "
        "no significant difference "
        f"(at commit {(recipes['environment']['commit'] or 'unknown')[:12]}).",
        "",
        *format_table(
            ["data", "recipe", "verdict", "accuracy", "macro F1", "fit s", "images/s", "features"],
            [
                [
                    row["data"],
                    row["recipe"],
                    row["verdict"],
                    f"{row['accuracy']:.3f}",
                    f"{row['macro_f1']:.3f}",
                    f"{row['fit_seconds']:.2f}",
                    f"{row['images_per_second']:,.0f}",
                    f"{row['n_features']:,.0f}",
                ]
                for row in recipes["summary"]
                if "error" not in row
            ],
        ),
    ]


def _describe_recipes(recipes: Content) -> list[str]:
    rows = sorted(recipes["rows"], key=lambda row: -row["accuracy"])
    return [
        f"{rows[0]['n_train']:,} of its images to train on, the {rows[0]['n_test']:,} of its test "
        "set to test on, features included; on a machine that had other work as well.",
        "",
        *format_table(
            ["recipe", "accuracy", "fit s", "images/s", "model MB", "peak memory MB"],
            [
                [
                    row["recipe"],
                    f"{row['accuracy']:.4f}",
                    f"{row['fit_seconds']:,.0f}",
                    f"{row['images_per_second']:,.0f}",
                    f"{row['model_megabytes']:,.1f}",
                    f"{row['peak_megabytes']:,.0f}",
                ]
                for row in rows
            ],
        ),
    ]


def _describe_fashion(fashion: Content) -> list[str]:
    return [
        "The official split of 60,000 and 10,000 images with frozen features and one kernel for "
        "each feature group. The data set's own table has 0.926 for HOG and an SVM and 0.935 for "
        "VGG16 trained on it.",
        "",
        *format_table(
            ["what", "accuracy", "features s", "fit s", "images/s"],
            [
                [
                    row["name"],
                    f"{row['accuracy']:.4f}",
                    f"{row['feature_seconds']:.0f}",
                    f"{row['fit_seconds']:.0f}",
                    f"{row['images_per_second']:,.0f}",
                ]
                for row in fashion["rows"]
            ],
        ),
    ]


def _describe_fusion(fusion: Content) -> list[str]:
    rows = fusion["rows"]
    names, data = (list(dict.fromkeys(row[key] for row in rows)) for key in ("name", "data"))
    means = {(row["name"], row["data"]): statistics.mean(row["accuracy"]) for row in rows}
    splits = max(len(row["accuracy"]) for row in rows)
    return [
        "RBF SVMs with C=10 (smooth ones with a gamma of 0.3 times 1 / d); means of "
        f"{splits} splits, of 4 for textures; Fashion-MNIST with 10,000 images to train on, "
        "sign-digits 70/30.",
        "",
        *format_table(
            ["features", *data],
            [[name, *(f"{means[name, source]:.4f}" for source in data)] for name in names],
        ),
    ]


def _describe_svm(svm: Content) -> list[str]:
    return [
        f"{svm['n_train']:,} images of Fashion-MNIST, {svm['n_features']:,} HOG features, all with "
        'C=10 and gamma="scale"; each fitted once, on a machine that had other work as well.',
        "",
        *format_table(
            ["head", "accuracy", "fit s", "images/s"],
            [
                [
                    row["name"],
                    f"{row['accuracy']:.4f}",
                    f"{row['fit_seconds']:,.0f}",
                    f"{row['images_per_second']:,.0f}",
                ]
                for row in svm["rows"]
            ],
        ),
    ]


def _describe_features(features: Content) -> list[str]:
    rows = []
    for case in features["cases"]:
        own, other = take_medians(case["us_per_image"], "imgfeat", case["peer"])
        images = f"{case['images']['imgfeat']:,}"
        times = f"{case['ratio_median']:.0f}"
        rows.append([case["case"], images, f"{own:.1f}", case["peer"], f"{other:,.0f}", times])
    columns = [
        "case",
        "images a batch",
        "imgfeat µs an image",
        "peer",
        "peer µs an image",
        "times faster",
    ]
    return [
        "One thread; equal results are checked first, except against OpenCV and mahotas, which "
        "define these features differently.",
        "",
        *format_table(columns, rows),
    ]


def _describe_embedding(embedding: Content) -> list[str]:
    rows = []
    for case in embedding["cases"]:
        own, other = take_medians(case["ms_per_image"], "imgfeat", case["peer"])
        times = f"{case['ratio_median']:.2f}"
        rows.append([case["case"], f"{own:.2f}", case["peer"], f"{other:.2f}", times])
    columns = ["case", "imgfeat ms an image", "peer", "peer ms an image", "times faster"]
    return [
        "EfficientNet-Lite0 at 224x224, on one thread unless stated, against torch eager with the "
        "same weights, and from JPEG files against a loop of PIL, torchvision and one call an "
        "image; features are compared first.",
        "",
        *format_table(columns, rows),
        *_describe_accuracy(embedding["accuracy"]),
    ]


def _describe_accuracy(accuracy: Content | None) -> list[str]:
    if accuracy is None:
        return []
    exact, rough = (statistics.mean(accuracy["accuracy"][p]) for p in ("fp32", "int8"))
    splits = len(accuracy["accuracy"]["fp32"])
    return [
        "",
        f"On {accuracy['data']} ({splits} splits) int8 features reach {rough:.4f} where fp32 ones "
        f"reach {exact:.4f}.",
    ]


def _describe_layers(layers: Content) -> list[str]:
    best, rest = layers["rows"][:10], layers["rows"][10:]
    last = [row for row in rest if row["layers"] == "last" and row["grid"] == 1]
    return [
        "Which layers of EfficientNet-Lite0 make the best features (RBF SVM with C=10, nothing "
        f"tuned, images at {layers['size']}x{layers['size']}; the ten best and the usual last "
        "layer).",
        "",
        *format_table(
            ["layers", "pooling", "grid", "features", *best[0]["accuracy"]],
            [
                [
                    row["layers"],
                    " + ".join(row["pooling"]),
                    f"{row['grid']}",
                    f"{row['n_features']:,}",
                    *(f"{statistics.mean(values):.4f}" for values in row["accuracy"].values()),
                ]
                for row in best + last
            ],
        ),
    ]


def _describe_tuning(tuning: Content) -> list[str]:
    overhead, cache = tuning["overhead_milliseconds"], tuning["cache_seconds"]
    best = tuning["rows"][0]["seconds"]
    return [
        f"Searches over HOG, LBP and an SVM on {tuning['data']} ({tuning['n_images']:,} images, "
        f"{tuning['n_trials']} trials of 3 folds; the same space, folds, sampler and seed, one "
        "thread).",
        "",
        *format_table(
            ["search", "features", "seconds", "times as long", "best score"],
            [
                [
                    row["search"],
                    row["features"],
                    f"{row['seconds']:.1f}",
                    f"{row['seconds'] / best:.1f}",
                    f"{row['best_score']:.4f}",
                ]
                for row in tuning["rows"]
            ],
        ),
        "",
        f"The search itself takes {overhead['memory']:.1f} ms a trial, {overhead['SQLite']:.1f} ms "
        "with its trials in SQLite. A network's features from the disk come "
        f"{cache['cold'] / cache['warm']:.0f} times sooner than computed.",
    ]


def _describe_streaming(streaming: Content) -> list[str]:
    return [
        f"{streaming['n_images']:,} colour images of 96x96, generated one by one, streamed through "
        f"ImageLoader, HOG and LBP into a file by `Batched(n_jobs={streaming['n_jobs']})`.",
        "",
        *format_table(
            ["cache", "seconds", "images/s", "peak MB"],
            [
                [
                    row["step"],
                    f"{row['seconds']:.0f}",
                    f"{row['images_per_second']:,.0f}",
                    f"{row['peak_megabytes']:,.0f}",
                ]
                for row in streaming["rows"]
            ],
        ),
    ]


def _describe_graphs(graphs: Content) -> list[str]:
    rows = []
    for case in graphs["cases"]:
        graph, kernel, peer = take_medians(case["us_per_image"], "graph", "kernel", "scikit-image")
        times = [f"{graph:.0f}", f"{kernel:.0f}", f"{peer:,.0f}", f"{peer / graph:.0f}"]
        rows.append([case["case"], f"{case['batch']}", *times])
    columns = [
        "graph",
        "images a batch",
        "µs an image",
        "imgfeat's kernel",
        "scikit-image",
        "times faster",
    ]
    return [
        "One thread; features are compared first. Times faster is the graph against scikit-image.",
        "",
        *format_table(columns, rows),
    ]


def _describe_runtime(runtime: Content) -> list[str]:
    rows = []
    for row in runtime["rows"]:
        times = row["milliseconds"]
        own = times["imgfeat ONNX"]
        peers = [
            f"{times[who]['median']:.2f}" if who in times else ""
            for who in ("imgfeat pipeline", "scikit-image pipeline", "bare CNN session")
        ]
        file = [f"{row['file_megabytes']:.1f}", f"{row['load_seconds']:.2f}"]
        rows.append([row["recipe"], f"{own['median']:.2f}", f"{own['p99']:.2f}", *peers, *file])
    columns = [
        "recipe",
        "file",
        "p99",
        "pipeline",
        "with scikit-image",
        "network alone",
        "file MB",
        "load s",
    ]
    return [
        "Milliseconds of exported files, of the pipelines themselves, of the same heads behind "
        "scikit-image's features, and of the network alone; medians of "
        f"{runtime['repeats']} calls on one thread, labels compared first.",
        "",
        *format_table(columns, rows),
    ]


def _describe_agreement(agreement: Content) -> list[str]:
    rows = []
    for model, share in agreement["shares"].items():
        own = [row for row in agreement["rows"] if row["model"] == model]
        equal, unseen = (sum(row[key] for row in own) for key in ("n_equal", "n_unseen"))
        largest = max(row["largest_difference"] for row in own)
        cells = [f"{unseen:,}", f"{equal:,}", f"{100 * share:.2f} %", f"{largest:.1e}"]
        rows.append([model, *cells])
    data = list(dict.fromkeys(row["data"] for row in agreement["rows"]))
    columns = [
        "model",
        "unseen images",
        "equal labels",
        "share",
        "largest difference in a probability",
    ]
    return [
        f"Every recipe, and boosting by other libraries, fitted on {', '.join(data[:-1])} and "
        f"{data[-1]}, exported on training images only, and compared with its file on images that "
        "neither training nor export has seen. Labels count as equal only if they are identical. "
        f"The goal is {100 * agreement['goal']:.2f} % of the labels.",
        "",
        *format_table(columns, rows),
    ]


def _describe_choices(choices: Content) -> list[str]:
    rounding = choices["rounding"]
    rows = [
        [
            "tolerance for rounding-sensitive images",
            f"correct files that are refused, of {rounding['exports']}",
            str(rounding["refused_with"]),
            str(rounding["refused_without"]),
        ]
    ]
    for part, key, unit, factor in (
        ("shared distances", "distances", "seconds of a search over C and gamma", 1),
        (
            "landmarks chosen by margin",
            "landmarks",
            "accuracy on Fashion-MNIST, 12,000 images and 1,000 landmarks, in %",
            100,
        ),
        ("SQLite in WAL mode", "sqlite", "milliseconds a trial", 1000),
    ):
        means = [factor * statistics.mean(choices[key][name]) for name in ("with", "without")]
        rows.append([part, unit, *(f"{mean:.2f}" for mean in means)])
    return [
        "Four parts of imgfeat that a reader may not expect, each with and without, on a machine "
        "that had other work as well; `docs/maintainers/choices.md` says what they do.",
        "",
        *format_table(["part", "figure", "with", "without"], rows),
    ]
