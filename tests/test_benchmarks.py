import importlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("bench") / "results" / "features.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        importlib.import_module("bench_features").main(["--quick", "--out", str(out)])
    assert [path.name for path in out.parent.iterdir()] == ["features.json"]
    return json.loads(out.read_text())


def test_every_case_against_scikit_image_is_there(results):
    assert [r["case"] for r in results["cases"] if r["peer"] == "scikit-image"] == [
        "HOG 128x64",
        "HOG 224x224",
        "HOG 32x32",
        "HOG 128x64 colour",
        "HOG 128x64 L1",
        "HOG 128x64 L1-sqrt",
        "HOG 128x64 L2",
        "HOG 128x64 transform_sqrt",
        "HOG 128x64 cells of 16x16",
        "HOG 128x64 float64",
        "LBP (8, 1) 224x224",
        "LBP (16, 2) 224x224",
        "LBP (8, 1) grid=4 224x224",
        "LBP (8, 1) float64 224x224",
        "LBP (8, 1) var 224x224",
    ]


def test_every_repeat_is_kept_and_takes_time(results):
    for result in results["cases"]:
        assert set(result["us_per_image"]) == {"imgfeat", result["peer"]}
        for times in result["us_per_image"].values():
            assert len(times) == 2
            assert min(times) > 0
        assert 0 < result["ratio_min"] <= result["ratio_median"]


def test_numbers_equal_those_of_scikit_image(results):
    for result in results["cases"]:
        if result["peer"] == "scikit-image":
            bound = 1e-6 if result["case"].startswith("HOG") else 1e-3
            assert 0 <= result["max_difference"] <= result["tolerance"] <= bound
        else:
            assert result["max_difference"] is None


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores")
def test_threads_are_timed(results):
    assert [r["case"] for r in results["threads"]] == ["HOG", "LBP"]
    for result in results["threads"]:
        assert min(min(times) for times in result["seconds"].values()) > 0


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_memory_is_flat(results):
    assert [r["case"] for r in results["memory"]] == ["HOG", "LBP"]
    assert all(r["flat"] for r in results["memory"])


def test_environment_is_recorded(results):
    assert {"commit", "versions", "machine"} <= set(results["environment"])
    assert results["quick"] is True


@pytest.fixture(scope="module")
def embedding_results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedding")
    return run_quick("bench_embedding", folder / "embedding.json")


def run_quick(script, out, *arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        importlib.import_module(script).main(["--quick", "--out", str(out), *arguments])
    return json.loads(out.read_text())


def test_embedding_is_raced_against_torch_and_loop_and_bare_model(embedding_results):
    cases = embedding_results["cases"]
    assert [(case["case"], case["peer"]) for case in cases if case["target"]] == [
        ("middle layers (default), fp32", "torch eager"),
        ("middle layers (default), int8", "torch eager"),
        ("JPEG files of 480x640, two cores", "loop"),
        ("JPEG files of 480x640, share of bare model", "bare model"),
    ]
    for case in cases:
        assert set(case["ms_per_image"]) == {"imgfeat", case["peer"]}
        assert min(min(times) for times in case["ms_per_image"].values()) > 0
        assert 0 < case["ratio_min"] <= case["ratio_median"]
        if case["case"].endswith("fp32"):
            assert 0 <= case["max_difference"] <= 1e-4
        if case["case"].endswith("int8"):
            assert 0.99 <= case["cosine"] <= 1


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_memory_of_networks_is_flat(embedding_results):
    assert embedding_results["memory"]["flat"]


def test_features_that_differ_stop_the_embedding_race(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    bench = importlib.import_module("bench_embedding")
    rows = np.eye(3, dtype=np.float32)
    with pytest.raises(SystemExit, match=r"differ by 5\.0e-01"):
        bench.compare("x", rows, 2 * rows)
    with pytest.raises(SystemExit, match="nan"):
        bench.compare("x", rows * np.nan, rows)
    with pytest.raises(SystemExit, match=r"similarity of rows is 0\.6667"):
        bench.compare_directions(
            "x", rows, rows * [[1], [1], [-0.0]] + rows[[0, 1, 0]] * [[0], [0], [1]]
        )


def test_layers_are_compared_on_textures(tmp_path):
    results = run_quick("bench_layers", tmp_path / "layers.json")
    rows = results["rows"]
    assert len(rows) == len({(r["layers"], *r["pooling"], r["grid"]) for r in rows}) == 18
    (default,) = [
        r for r in rows
        if r["layers"].startswith("middle") and r["pooling"] == ["mean", "std"] and r["grid"] == 2
    ]  # fmt: skip
    assert default["n_features"] == 3072
    assert all(0.5 < r["accuracy"]["textures"][0] <= 1 for r in rows)


def test_the_svm_is_raced_against_scikit_learns(tmp_path):
    results = run_quick("bench_svm", tmp_path / "svm.json")
    assert [row["name"] for row in results["rows"]] == [
        "imgfeat svm()",
        "imgfeat svm(max_exact=0)",
        "Nystroem + RidgeClassifier",
        "scikit-learn SVC",
    ]
    assert min(row["accuracy"] for row in results["rows"]) > 0.85
    own, _, _, exact = results["rows"]
    assert results["loss"] == exact["accuracy"] - own["accuracy"]


def test_fusions_are_compared_on_textures(tmp_path):
    results = run_quick("bench_fusion", tmp_path / "fusion.json")
    means = {row["name"]: row["accuracy"][0] for row in results["rows"]}
    best = max(value for name, value in means.items() if "alone" in name)
    assert len(means) == 15
    assert results["verdicts"]["textures"]["stacking against the best family"] == (
        means["stacking"] - best
    )


def test_frozen_features_are_measured_on_textures(tmp_path):
    results = run_quick("bench_fashion", tmp_path / "fashion.json")
    assert [row["name"] for row in results["rows"]] == ["classical", "classical and CNN"]
    assert min(row["accuracy"] for row in results["rows"]) > 0.9


def test_searches_are_raced(tmp_path):
    results = run_quick("bench_tuning", tmp_path / "tuning.json")
    rows = results["rows"]
    assert [(row["search"], row["features"]) for row in rows] == [
        ("imgfeat", "imgfeat"),
        ("optuna-integration", "imgfeat"),
        ("optuna-integration", "scikit-image"),
    ]
    # The same features, trials and folds.
    assert rows[0]["best_score"] == pytest.approx(rows[1]["best_score"], abs=1e-12)
    assert min(row["seconds"] for row in rows) > 0
    assert set(results["overhead_milliseconds"]) == {"memory", "SQLite"}
    assert results["cache_seconds"]["warm"] > 0


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")
def test_streams_are_measured_in_processes_of_their_own(tmp_path):
    rows = run_quick("bench_streaming", tmp_path / "streaming.json")["rows"]
    assert [row["step"] for row in rows] == ["no cache", "empty cache", "1 % new"]
    for row in rows:
        assert row["n_features"] == 1764 + 10
        assert row["megabytes_before"] <= row["peak_megabytes"] < 1000
        assert row["images_per_second"] == pytest.approx(2000 / row["seconds"])


def test_exported_pipelines_are_raced(tmp_path):
    results = run_quick("bench_runtime", tmp_path / "runtime.json")
    assert [row["recipe"] for row in results["rows"]] == ["hog_svm", "hog_lbp_boosting"]
    for row in results["rows"]:
        assert list(row["milliseconds"]) == [
            "imgfeat ONNX", "imgfeat pipeline", "scikit-image pipeline",
        ]  # fmt: skip
        for times in row["milliseconds"].values():
            assert 0 < times["median"] <= times["p99"]
        assert row["largest_difference"] <= 1e-4


def test_each_recipe_is_measured_in_a_process_of_its_own(tmp_path):
    results = run_quick("bench_recipes", tmp_path / "recipes.json")
    (row,) = results["rows"]
    assert (row["recipe"], row["n_train"], row["n_test"]) == ("bagged", 60, 96)
    assert row["accuracy"] > 0.7
    assert min(row["model_megabytes"], row["peak_megabytes"], row["fit_seconds"]) > 0


def test_the_gpu_script_runs_on_the_cpu(tmp_path):
    results = run_quick("bench_gpu", tmp_path / "gpu.json", "--device", "cpu")
    (case,) = results["cases"]
    assert set(case["seconds"]) == {
        "timm eager fp32", "hand-tuned, data on the device", "imgfeat", "imgfeat compiled",
    }  # fmt: skip
    assert min(case["cosine_min"].values()) > 0.99
    # On a busy machine the peak itself is measured too low, so only the sign is sure.
    assert all(share > 0 for share in case["share_of_peak"].values())


def test_graphs_are_raced_against_scikit_image_and_kernels(tmp_path):
    results = run_quick("bench_graphs", tmp_path / "graphs.json")
    held = [(case["case"], case["batch"]) for case in results["cases"] if case["goal"]]
    assert held == [
        ("HOG 128x64", 1), ("HOG 128x64", 64), ("LBP (8, 1) 128x64", 1), ("LBP (8, 1) 128x64", 64),
    ]  # fmt: skip
    for case in results["cases"]:
        assert set(case["us_per_image"]) == {"graph", "kernel", "scikit-image"}
        assert 0 <= case["max_difference"]["kernel"] <= 1e-6
        assert min(case["faster_than_scikit_image"], case["slower_than_kernel"]) > 0


def test_without_a_card_the_gpu_script_says_so(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    with pytest.raises(SystemExit, match="No CUDA device"):
        importlib.import_module("bench_gpu").main([])


def test_unequal_numbers_stop_the_benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    bench = importlib.import_module("bench_features")
    case = bench.hog_cases(4)[2]
    wrong = bench.Case(
        case.name, case.images, bench.HOG(block_norm="L1"), case.peer, case.peer_run, 40, 1e-6
    )
    with pytest.raises(SystemExit, match="HOG 32x32: differs from scikit-image by"):
        bench.run_case(wrong, repeats=1)


def test_failed_write_leaves_the_old_results(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    harness = importlib.import_module("harness")
    path = tmp_path / "r.json"
    harness.write_results(path, {"a": 1})
    with pytest.raises(TypeError):
        harness.write_results(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["r.json"]


def test_exported_labels_are_compared_on_unseen_images(tmp_path):
    results = run_quick("bench_agreement", tmp_path / "agreement.json")
    assert results["shares"] == dict.fromkeys(
        ["hog_lbp_boosting", "hog_lbp_boosting, lightgbm", "hog_lbp_boosting, xgboost"], 1.0
    )
    for row in results["rows"]:
        assert row["precision"] == "float32"
        assert row["largest_difference"] <= 1e-4
        # It was exported by training images, and none of them is on a threshold.
        assert row["n_ties_in_training"] == row["n_apart"] == 0


def test_unexpected_parts_are_measured_with_and_without(tmp_path):
    results = run_quick("bench_choices", tmp_path / "choices.json")
    counts = results["rounding"]
    assert counts["refused_with"] == 0
    assert counts["refused_without"] <= counts["exports"]
    for name in ("distances", "landmarks", "sqlite"):
        assert min(results[name]["with"] + results[name]["without"]) > 0


def test_remedies_for_a_rare_class_are_compared(tmp_path):
    results = run_quick("bench_imbalance", tmp_path / "imbalance.json")
    rows = {(row["head"], row["remedy"]): row for row in results["rows"]}
    assert len(rows) == len(results["rows"]) == 2 * 6
    for (head, remedy), row in rows.items():
        assert row["n_common"] == 30 * row["n_rare"] - 8
        assert all(len(row[metric]) == 2 for metric in ("macro_f1", "recall", "accuracy"))
        without = rows[head, "none"]
        assert row["gain"]["recall"] == pytest.approx(
            np.mean(row["recall"]) - np.mean(without["recall"])
        )
        if remedy == "undersampling":
            assert row["gain"]["recall"] > 0


def test_training_is_raced_against_a_loop_written_by_hand(tmp_path):
    results = run_quick("bench_training", tmp_path / "training.json")
    kept = results["kept_features"]
    assert set(kept["seconds"]) == {"kept", "computed"}
    assert 0 <= kept["max_difference"] <= kept["tolerance"] <= 1e-3
    assert list(results["throughput"]["seconds"]) == [
        "imgfeat", "plain loop", "plain loop, files read in every epoch",
    ]  # fmt: skip
    for times in results["throughput"]["seconds"].values():
        assert len(times) == 2
        assert min(times) > 0
