"""Batched with memory and out: nothing described twice, whatever happens in between."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import joblib
import numpy as np
import pytest
from helpers.counting import Counting, count_lines
from PIL import Image
from sklearn.base import clone
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import FeatureUnion, make_pipeline

from imgfeat import (
    HOG,
    LBP,
    Batched,
    CNNEmbedding,
    ImageLoader,
    OptunaSearchCV,
    load_model,
    save_model,
)
from imgfeat.caching.fingerprints import fingerprint
from imgfeat.caching.resumable import OutputError, ResumableArray
from imgfeat.caching.row_store import RowStoreError
from imgfeat.datasets import load_digits

IMAGES = load_digits().images
PIXELS = np.rint(IMAGES * 255).astype(np.uint8)


def make_chain():
    union = FeatureUnion([("hog", HOG(pixels_per_cell=4, cells_per_block=1)), ("lbp", LBP(grid=2))])
    return make_pipeline(ImageLoader(16, color="gray"), union)


def make_stream(log, **options):
    return Batched(Counting(str(log)), **({"batch_size": 64} | options))


class Lazy:
    """Images made when asked for, one by one; remembers how many were alive at most."""

    def __init__(self, n):
        self.n = n
        self.asked = 0

    def __len__(self):
        return self.n

    def __getitem__(self, place):
        assert isinstance(place, int)
        self.asked += 1
        return IMAGES[place % 1000]


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_memory_gives_what_the_chain_gives(n_jobs, tmp_path):
    expected = make_chain().fit_transform(IMAGES[:300])
    stream = Batched(make_chain(), batch_size=64, n_jobs=n_jobs, memory=tmp_path)
    for _ in range(2):
        np.testing.assert_array_equal(stream.fit_transform(IMAGES[:300]), expected)
    framed = Batched(make_chain(), batch_size=64, n_jobs=n_jobs, memory=tmp_path)
    framed.set_output(transform="pandas")
    frames = [framed.fit_transform(IMAGES[:300]) for _ in range(2)]
    for frame in frames:
        np.testing.assert_array_equal(frame.to_numpy(), expected)
        assert list(frame.columns) == list(stream.get_feature_names_out())


def test_one_per_cent_of_new_images_costs_one_per_cent(tmp_path):
    log, memory = tmp_path / "log", tmp_path / "cache"
    log.mkdir()
    stream = make_stream(log, memory=memory)
    old = stream.fit_transform(IMAGES[:990])
    assert count_lines(log) == 990
    order = np.random.default_rng(0).permutation(1000)
    new = stream.transform(IMAGES[:1000][order])
    assert count_lines(log) == 1000
    np.testing.assert_array_equal(new, Counting(str(tmp_path)).transform(IMAGES[:1000][order]))
    np.testing.assert_array_equal(new[order < 990], old[order[order < 990]])
    # Copies within a batch are described once.
    stream.transform(np.repeat(IMAGES[1000:1001], 50, axis=0))
    assert count_lines(log) == 1001
    # Other settings are other features.
    make_stream(log, memory=joblib.Memory(memory, verbose=0)).fit_transform(IMAGES[:10])
    assert count_lines(log) == 1001
    Batched(Counting(str(log), factor=2.0), memory=memory).fit_transform(IMAGES[:10])
    assert count_lines(log) == 1011


def test_files_go_by_content(tmp_path):
    folder, memory = tmp_path / "pictures", tmp_path / "cache"
    folder.mkdir()
    for number in range(6):
        Image.fromarray(PIXELS[number]).save(folder / f"{number}.png")
    chain = make_pipeline(ImageLoader(8, color="gray"), Counting(str(tmp_path)))
    stream = Batched(chain, memory=memory)
    paths = [str(folder / f"{number}.png") for number in range(6)]
    first = stream.fit_transform(paths)
    seen = count_lines(tmp_path)
    os.rename(paths[0], folder / "renamed.png")
    Image.fromarray(PIXELS[100]).save(paths[1])
    changed = [str(folder / "renamed.png"), *paths[1:]]
    second = stream.transform(changed)
    assert count_lines(tmp_path) - seen == 1
    np.testing.assert_array_equal(second[[0, 2, 3, 4, 5]], first[[0, 2, 3, 4, 5]])
    assert np.abs(second[1] - first[1]).max() > 1


def test_unreadable_files_are_not_kept(tmp_path):
    memory = tmp_path / "cache"
    chain = make_pipeline(ImageLoader(8, color="gray", on_error="blank"), Counting(str(tmp_path)))
    stream = Batched(chain, memory=memory)
    paths = [tmp_path / "a.png", tmp_path / "b.png", tmp_path / "c.png"]
    Image.fromarray(PIXELS[0]).save(paths[0])
    stream.fit(paths)
    with pytest.warns(UserWarning, match=r"b\.png"):
        blank = stream.transform(paths)
    assert (blank[1:] == 0).all()
    Image.fromarray(PIXELS[1]).save(paths[1])
    Image.fromarray(PIXELS[2]).save(paths[2])
    expected = Counting(str(tmp_path)).transform(PIXELS[:3])
    np.testing.assert_array_equal(stream.transform(paths), expected)


def test_a_damaged_cache_says_so(tmp_path):
    stream = Batched(make_chain(), memory=tmp_path / "cache")
    stream.fit_transform(IMAGES[:10])
    [file] = (tmp_path / "cache").glob("*.sqlite")
    for rest in (tmp_path / "cache").glob("*.sqlite-*"):
        rest.unlink()
    file.write_bytes(b"no database at all" * 1000)
    with pytest.raises(RowStoreError, match=r"not a database.*Delete it"):
        stream.transform(IMAGES[:10])
    (tmp_path / "file").write_text("")
    with pytest.raises(RowStoreError, match="is no folder"):
        Batched(make_chain(), memory=tmp_path / "file").fit_transform(IMAGES[:10])


def test_workers_in_processes_share_the_store(tmp_path):
    log, memory = tmp_path / "log", tmp_path / "cache"
    log.mkdir()
    stream = make_stream(log, memory=memory, n_jobs=2)
    with joblib.parallel_config(backend="loky"):
        first = stream.fit_transform(IMAGES[:300])
        second = stream.transform(IMAGES[:300])
    assert count_lines(log) == 300
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, Counting(str(tmp_path)).transform(IMAGES[:300]))


WRITER = """
    import sys
    import numpy as np
    from helpers.counting import Counting
    from imgfeat import Batched
    from imgfeat.datasets import load_digits

    images = load_digits().images[:800]
    stream = Batched(Counting(sys.argv[1]), batch_size=16, memory=sys.argv[2])
    rows = stream.fit_transform(images)
    assert (rows == Counting(sys.argv[1]).transform(images)).all()
"""


def start(script, *arguments, folder):
    path = folder / "script.py"
    path.write_text(textwrap.dedent(script))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen(
        [sys.executable, path, *map(str, arguments)], env=environment, stderr=subprocess.PIPE
    )


def test_two_processes_write_one_store(tmp_path):
    memory = tmp_path / "cache"
    writers = [start(WRITER, tmp_path, memory, folder=tmp_path) for _ in range(2)]
    for writer in writers:
        _, errors = writer.communicate(timeout=300)
        assert writer.returncode == 0, errors.decode()
    before = count_lines(tmp_path)
    rows = Batched(Counting(str(tmp_path)), memory=memory).fit_transform(IMAGES[:800])
    assert count_lines(tmp_path) == before
    np.testing.assert_array_equal(rows, Counting(str(tmp_path)).transform(IMAGES[:800]))


def test_out_is_a_file_with_what_the_chain_gives(tmp_path):
    out = tmp_path / "features.npy"
    stream = Batched(make_chain(), batch_size=64, n_jobs=2, out=out)
    result = stream.fit_transform(IMAGES[:300])
    assert isinstance(result, np.memmap)
    assert not result.flags.writeable
    np.testing.assert_array_equal(np.load(out), make_chain().fit_transform(IMAGES[:300]))
    assert [path.name for path in tmp_path.iterdir()] == ["features.npy"]
    with pytest.raises(OutputError, match=r"features\.npy' already exists: delete it"):
        stream.transform(IMAGES[:300])
    with pytest.raises(OutputError, match=r"must end in \.npy"):
        stream.set_params(out=tmp_path / "features.csv").transform(IMAGES[:300])
    with pytest.raises(OutputError, match="there is no folder"):
        stream.set_params(out=tmp_path / "nowhere" / "features.npy").transform(IMAGES[:300])


def test_out_in_a_model_is_for_the_images_it_is_fitted_on(tmp_path):
    out = tmp_path / "features.npy"
    labels = np.arange(60) % 2
    model = make_pipeline(Batched(make_chain(), batch_size=16, out=out), GaussianNB())
    expected = make_pipeline(make_chain(), GaussianNB()).fit(IMAGES[:60], labels)
    model.fit(IMAGES[:60], labels)
    written = np.load(out)
    np.testing.assert_array_equal(written, make_chain().fit_transform(IMAGES[:60]))
    for _ in range(2):
        for images in (IMAGES[:60], IMAGES[100:130]):
            np.testing.assert_array_equal(model.predict(images), expected.predict(images))
    save_model(model, tmp_path / "model.skops")
    loaded = load_model(tmp_path / "model.skops", allow=["Batched.out"])
    np.testing.assert_array_equal(loaded.predict(IMAGES[:9]), expected.predict(IMAGES[:9]))
    np.testing.assert_array_equal(np.load(out), written)
    with pytest.raises(OutputError, match="already exists"):
        model.fit(IMAGES[:60], labels)
    search = OptunaSearchCV(clone(model), {"gaussiannb__var_smoothing": [1e-9]}, n_trials=1, cv=2)
    with pytest.raises(ValueError, match=r"out='.*features\.npy' of Batched.*use memory="):
        search.fit(IMAGES[:60], labels)


def test_models_with_paths_load_again(tmp_path):
    labels = np.arange(30) % 2
    for memory in (tmp_path / "cache", joblib.Memory(tmp_path / "cache", verbose=0)):
        model = make_pipeline(Batched(make_chain(), memory=memory), GaussianNB())
        model.fit(IMAGES[:30], labels)
        save_model(model, tmp_path / "model.skops")
        loaded = load_model(tmp_path / "model.skops", allow=["Batched.memory"])
        np.testing.assert_array_equal(loaded.predict(IMAGES[:50]), model.predict(IMAGES[:50]))
        assert model[0].memory is memory
    deep = CNNEmbedding(cache_dir=tmp_path, weights=tmp_path / "w.safetensors")
    save_model(deep, tmp_path / "deep.skops")
    names = ["CNNEmbedding.cache_dir", "CNNEmbedding.weights"]
    assert isinstance(load_model(tmp_path / "deep.skops", allow=names), CNNEmbedding)
    assert clone(deep).cache_dir == tmp_path


MORTAL = """
    import os, signal, sys
    from helpers.counting import Counting, count_lines
    from imgfeat import Batched
    from imgfeat.datasets import load_digits

    class Mortal(Counting):
        def transform(self, X):
            rows = super().transform(X)
            if count_lines(self.log) == 192:
                os.kill(os.getpid(), signal.SIGKILL)
            return rows

    stream = Batched(Mortal(sys.argv[1]), batch_size=32, out=sys.argv[2])
    stream.fit_transform(load_digits().images[:400])
"""


def test_after_a_kill_it_goes_on(tmp_path):
    out = tmp_path / "rows.npy"
    killed = start(MORTAL, tmp_path, out, folder=tmp_path)
    killed.communicate(timeout=300)
    assert killed.returncode == -9
    assert not out.exists()
    assert (tmp_path / "rows.npy.partial").exists()
    again = start(MORTAL, tmp_path, out, folder=tmp_path)
    _, errors = again.communicate(timeout=300)
    assert again.returncode == 0, errors.decode()
    # Six batches were described when it was killed; at most the last two were not written.
    assert 400 <= count_lines(tmp_path) <= 400 + 2 * 32
    np.testing.assert_array_equal(np.load(out), Counting(str(tmp_path)).transform(IMAGES[:400]))
    assert not (tmp_path / "rows.npy.partial").exists()


def test_other_images_or_settings_are_not_gone_on_with(tmp_path):
    out, log = tmp_path / "rows.npy", tmp_path / "log"
    log.mkdir()

    class Broken(Lazy):
        def __getitem__(self, place):
            if place >= 100:
                raise OSError("the disk is gone")
            return super().__getitem__(place)

    stream = make_stream(log, batch_size=32, out=out)
    with pytest.raises(OSError, match="the disk is gone"):
        stream.fit_transform(Broken(128))
    assert count_lines(log) == 96
    # Half of what was written is of other images now.
    images = IMAGES[:128].copy()
    images[40:] = IMAGES[200:288]
    result = stream.transform(images)
    assert count_lines(log) == 96 + 96
    np.testing.assert_array_equal(result, Counting(str(tmp_path)).transform(images))
    out.unlink()
    with pytest.raises(OSError, match="the disk is gone"):
        stream.transform(Broken(128))
    other = Batched(Counting(str(log), factor=3.0), batch_size=32, out=out)
    before = count_lines(log)
    np.testing.assert_array_equal(
        other.fit_transform(IMAGES[:128]), 3 * Counting(str(tmp_path)).transform(IMAGES[:128])
    )
    assert count_lines(log) == before + 128


def test_a_kill_at_the_start_leaves_no_journal_of_another_file(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise OSError("the disk is full")

    out, log = tmp_path / "rows.npy", tmp_path / "log"
    log.mkdir()
    first = ResumableArray(out, "first", 4)
    first.write(slice(0, 2), "digest", np.ones((2, 3)))
    second = ResumableArray(out, "second", 4)
    with monkeypatch.context() as patch:
        patch.setattr(ResumableArray, "_write_title", fail)
        with pytest.raises(OSError, match="the disk is full"):
            second.write(slice(0, 2), "digest", np.ones((2, 3)))
    # The file is empty by now.
    assert ResumableArray(out, "first", 4).finished == {}


def make_described(code):
    """Return a transformer of a class that is always called the same."""
    names = {"__name__": "users_module", "Counting": Counting}
    exec(f"class Own(Counting):\n    def transform(self, X):\n        return {code}", names)
    return names["Own"]("log")


def test_transformers_go_by_their_code():
    first = fingerprint(make_described("X + 1"))
    assert first == fingerprint(make_described("X + 1"))
    assert first != fingerprint(make_described("X + 2"))
    assert first != fingerprint(make_described("X - 1"))


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_lazy_sequences_are_asked_once_an_image(n_jobs, tmp_path):
    images = Lazy(500)
    stream = Batched(make_chain(), batch_size=64, n_jobs=n_jobs, memory=tmp_path)
    rows = stream.fit_transform(images)
    # The first image is also what `fit` looks at.
    assert images.asked == 501
    np.testing.assert_array_equal(rows, make_chain().fit_transform(IMAGES[:500]))


def test_no_images_make_no_rows(tmp_path):
    stream = Batched(make_chain(), memory=tmp_path).fit(IMAGES[:1])
    assert stream.transform(IMAGES[:0]).shape == (0, len(stream.get_feature_names_out()))
