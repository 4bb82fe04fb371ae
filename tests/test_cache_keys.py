"""Keys of caches: whatever changes the result changes the key, whatever does not, does not."""

import copy
import functools
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from imgfeat import (
    GLCM,
    HOG,
    LBP,
    Batched,
    CNNEmbedding,
    ColorHistogram,
    Gabor,
    ImageLoader,
    OptunaSearchCV,
)
from imgfeat.caching.content import CannotIdentifyError, digest_value
from imgfeat.caching.file_hashes import hash_file
from imgfeat.caching.fingerprints import fingerprint
from imgfeat.caching.image_digests import hash_samples
from imgfeat.images.decoding import read_image

rng = np.random.default_rng(0)
PIXELS = rng.integers(0, 256, (24, 24, 3), np.uint8)


# --- parameters ---------------------------------------------------------------------------------

SAME = [
    [HOG(9), HOG(np.int64(9)), HOG(np.uint8(9)), HOG(orientations=9, n_jobs=2)],
    [HOG(pixels_per_cell=(8, 8)), HOG(pixels_per_cell=[8, 8])],
    [LBP(radius=1), LBP(radius=1.0), LBP(radius=np.float32(1))],
    [LBP(radius=1.5), LBP(radius=np.float64(1.5)), LBP(radius=np.float32(1.5))],
    [HOG(block_norm="L1"), HOG(block_norm=np.str_("L1"))],
    [HOG(transform_sqrt=True), HOG(transform_sqrt=np.True_)],
    [GLCM(distances=(1, 2)), GLCM(distances=[1, 2]), GLCM(distances=np.array([1.0, 2.0]))],
    [CNNEmbedding(), CNNEmbedding(cache_dir=Path("x"), n_threads=2), CNNEmbedding(batch_size=9)],
    [CNNEmbedding(grid=np.int64(2)), CNNEmbedding(layers="middle", pooling=["mean", "std"])],
    [ImageLoader(24), ImageLoader(np.int32(24), n_jobs=4)],
    [Batched(HOG()), Batched(HOG(), batch_size=3, n_jobs=2, memory="m", out="o.npy")],
]


@pytest.mark.parametrize("group", SAME, ids=lambda group: repr(group[0]))
def test_one_key_for_one_setting(group):
    assert len({fingerprint(transformer) for transformer in group}) == 1


SETTINGS = st.one_of(
    st.builds(
        HOG,
        orientations=st.sampled_from([6, 9, np.int64(9), np.uint8(6)]),
        pixels_per_cell=st.sampled_from([6, 8, (8, 8), [8, 8], (6, 8)]),
        cells_per_block=st.sampled_from([1, 2, np.int8(2)]),
    ),
    st.builds(
        LBP,
        radius=st.sampled_from([1, 1.0, 1.5, np.float32(1.5), 2, np.int64(2)]),
        grid=st.sampled_from([1, 2, np.int64(1)]),
    ),
    st.builds(
        Gabor,
        orientations=st.sampled_from([3, np.uint8(3), np.int64(3)]),
        bandwidth=st.sampled_from([1, np.float16(1), 1.5, np.float32(1.5)]),
        frequencies=st.sampled_from([(0.25,), [np.float16(0.25)], np.array([0.25])]),
    ),
    st.builds(GLCM, levels=st.sampled_from([8, np.int64(8), 16])),
    st.builds(ColorHistogram, bins=st.sampled_from([4, np.int64(4), 8])),
)


@settings(max_examples=60, deadline=None)
@given(SETTINGS, SETTINGS)
def test_keys_are_equal_only_where_results_are(first, second):
    rows = [transformer.fit_transform(PIXELS[np.newaxis]) for transformer in (first, second)]
    if fingerprint(first) == fingerprint(second):
        assert rows[0].tobytes() == rows[1].tobytes()
    elif type(first) is type(second) and rows[0].shape == rows[1].shape:
        normal = [repr(list(map(_plain, t.get_params().values()))) for t in (first, second)]
        assert normal[0] != normal[1]


def _plain(value):
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(part) for part in value]
    return float(value) if isinstance(value, int | float | np.number) else value


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
    | st.binary(max_size=5) | st.sampled_from([np.float32(1), np.int64(1), np.array([1, 0])]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner)
    | st.tuples(inner, inner),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(VALUES, VALUES)
def test_digests_tell_values_apart(first, second):
    assert digest_value(first) == digest_value(copy.deepcopy(first))
    same = _show(first) == _show(second)
    assert (digest_value(first) == digest_value(second)) == same


def _show(value):
    """Write a value with the types of all that is in it."""
    if isinstance(value, dict):
        return [(_show(key), _show(part)) for key, part in value.items()]
    if isinstance(value, list | tuple):
        return [type(value), [_show(part) for part in value]]
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    return (type(value), repr(value))


# --- code ---------------------------------------------------------------------------------------


def load_module(text, name="users_module"):
    """Execute a module as its author wrote it, in a fresh namespace."""
    names = {"__name__": name}
    exec(compile(text, f"{name}.py", "exec"), names)
    return names


HELPER = """
SCALE = 2.0
def helper(X):
    def inner(value):
        return value * SCALE
    return inner(X)
def work(X):
    return helper(X) + 1
"""
EDITS = {
    "another constant": ("+ 1", "+ 2"),
    "another operator": ("+ 1", "- 1"),
    "a global": ("SCALE = 2.0", "SCALE = 3.0"),
    "the type of a global": ("SCALE = 2.0", "SCALE = 2"),
    "a function that is called": ("return inner(X)", "return inner(inner(X))"),
    "an inner function": ("value * SCALE", "value / SCALE"),
    "a default": ("def work(X):", "def work(X, y=3):"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_edits_of_functions_change_the_key(edit):
    key = fingerprint(FunctionTransformer(load_module(HELPER)["work"]))
    assert key == fingerprint(FunctionTransformer(load_module(HELPER)["work"]))
    moved = "# A comment.\n\n" + HELPER.replace("return helper", "# Another.\n    return helper")
    assert key == fingerprint(FunctionTransformer(load_module(moved, "elsewhere")["work"]))
    assert HELPER.count(edit[0]) == 1
    edited = load_module(HELPER.replace(*edit))["work"]
    assert key != fingerprint(FunctionTransformer(edited))


CLASS = """
from functools import partial
from sklearn.base import BaseEstimator, TransformerMixin
import numpy as np
SHIFT = 1
def move(X, by):
    return X + by
class Base(TransformerMixin, BaseEstimator):
    factor = 2
    @staticmethod
    def scale(X):
        return X * 3
    @classmethod
    def turn(cls, X):
        return -X
    @property
    def offset(self):
        return 4
class Own(Base):
    step = partial(move, by=5)
    def __init__(self, option=None):
        self.option = option
    def fit(self, X, y=None):
        return self
    def transform(self, X):
        X = np.asarray(X, dtype=float).reshape(len(X), -1)
        return self.turn(self.scale(X)) * self.factor + self.offset + SHIFT + type(self).step(X)
    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags
"""


@pytest.mark.parametrize(
    "edit",
    [
        ("factor = 2", "factor = 3"),
        ("X * 3", "X * 4"),
        ("-X", "+X"),
        ("return 4", "return 5"),
        ("by=5", "by=6"),
        ("X + by", "X - by"),
        ("SHIFT = 1", "SHIFT = 2"),
    ],
)
def test_edits_of_classes_change_the_key_and_the_rows(edit, tmp_path):
    images = PIXELS[np.newaxis, :4, :4]
    own, edited = (load_module(text)["Own"] for text in (CLASS, CLASS.replace(*edit)))
    assert fingerprint(own()) == fingerprint(load_module(CLASS)["Own"]())
    assert fingerprint(own()) != fingerprint(edited())
    for kind in (own, edited, own):
        rows = Batched(kind(), memory=tmp_path).fit_transform(images)
        np.testing.assert_array_equal(rows, kind().fit_transform(images))


def make_local(number):
    class Local(TransformerMixin, BaseEstimator):
        def fit(self, X, y=None):
            return self

        def transform(self, X):
            return np.full((len(X), 1), number)

        def __sklearn_tags__(self):
            tags = super().__sklearn_tags__()
            tags.requires_fit = False
            return tags

    return Local()


def test_classes_and_functions_made_in_functions(tmp_path):
    for number in (1, 2, 1):
        rows = Batched(make_local(number), memory=tmp_path).fit_transform(PIXELS[np.newaxis])
        assert rows.tolist() == [[number]]
    lambdas = [lambda X: X + 1, lambda X: X + 1, lambda X: X + 2]
    keys = [fingerprint(FunctionTransformer(function)) for function in lambdas]
    assert keys[0] == keys[1] != keys[2]
    partials = [functools.partial(np.clip, a_min=0, a_max=high) for high in (1, 1, 2)]
    keys = [fingerprint(FunctionTransformer(function)) for function in partials]
    assert keys[0] == keys[1] != keys[2]
    methods = [HOG(n).transform for n in (6, 6, 9)]
    keys = [fingerprint(FunctionTransformer(function)) for function in methods]
    assert keys[0] == keys[1] != keys[2]


KEYS = """
import sys
sys.path.insert(0, sys.argv[1])
from test_cache_keys import *
from helpers.networks import SmallNet
functions = load_module(HELPER)["work"], lambda X: X in {"a", "b", "c", "d"}
values = [FunctionTransformer(f) for f in functions] + [load_module(CLASS)["Own"](), make_local(3)]
print(*map(fingerprint, values), digest_value(SmallNet()).hex())
"""


def test_keys_are_the_same_in_every_process():
    def run(seed):
        return subprocess.run(
            [sys.executable, "-c", KEYS, str(Path(__file__).parent)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout

    assert run("1") == run("2")


def test_what_cannot_be_named_is_not_kept(tmp_path):
    with open(tmp_path / "gains", "w+") as file:

        def work(X):
            file.seek(0)
            return X.reshape(len(X), -1) * float(file.read())

        stream = Batched(FunctionTransformer(work), memory=tmp_path / "cache")
        for gain in (1.0, 2.0):
            file.seek(0)
            file.write(str(gain))
            with pytest.raises(CannotIdentifyError, match="TextIOWrapper"):
                fingerprint(stream)
            rows = stream.fit_transform(PIXELS[np.newaxis])
            np.testing.assert_array_equal(rows, gain * PIXELS.reshape(1, -1))
            out = tmp_path / f"{gain}.npy"
            rows = clone(stream).set_params(out=out).fit_transform(PIXELS[np.newaxis])
            np.testing.assert_array_equal(rows, gain * PIXELS.reshape(1, -1))


# --- files --------------------------------------------------------------------------------------


def test_files_edited_in_place(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"first")
    os.utime(path, ns=(1, 1))
    keys = [hash_file(path)]
    for content in (b"other", b"third"):
        with open(path, "r+b") as file:
            file.write(content)
        os.utime(path, ns=(1, 1))
        keys.append(hash_file(path))
    assert len(set(keys)) == 3
    named = FunctionTransformer(np.loadtxt, kw_args={"fname": str(path)})
    before = fingerprint(named)
    path.write_bytes(b"fifth")
    assert fingerprint(named) != before


def test_names_of_files_count_unless_an_image_loader_reads_them(tmp_path):
    names = [str(tmp_path / name) for name in ("left.png", "right.png")]
    for name in names:
        Image.fromarray(PIXELS).save(name)
    assert len(set(hash_samples(names, by_name=False))) == 1
    assert len(set(hash_samples(names))) == 2

    def read_side(X):
        return np.array([["left" in Path(name).name] for name in X], dtype=float)

    rows = Batched(FunctionTransformer(read_side), memory=tmp_path / "a").fit_transform(names)
    assert rows.tolist() == [[1.0], [0.0]]
    frame = pd.DataFrame({"path": names, "sensor": [1.0, 2.0]})
    before = hash_samples(frame)
    Image.fromarray(PIXELS[::-1]).save(names[0])
    after = hash_samples(frame)
    assert before[0] != after[0]
    assert before[1] == after[1]
    assert hash_samples(frame.rename(columns={"path": "other"}))[1] != after[1]


# --- pictures -----------------------------------------------------------------------------------


def encode(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return Image.open(io.BytesIO(file.getvalue()))


def make_indexed(palette, **options):
    image = Image.new("P", (8, 8))
    image.putdata([0, 1, 2, 3] * 16)
    image.putpalette(palette)
    return encode(image, **options)


def with_orientation(number, **others):
    exif = Image.Exif()
    exif[0x0112] = number
    for tag, value in others.items():
        exif[int(tag[1:])] = value
    return encode(Image.fromarray(PIXELS), "JPEG", exif=exif, quality=95)


RED_BLUE = [255, 0, 0, 0, 0, 255, 0, 0, 0, 9, 9, 9]
GRAY = Image.fromarray(PIXELS[..., 0])
PICTURES = {
    "red first": lambda: make_indexed(RED_BLUE),
    "blue first": lambda: make_indexed([0, 0, 255, 255, 0, 0, 0, 0, 0, 9, 9, 9]),
    "one transparent": lambda: make_indexed(RED_BLUE, transparency=0),
    "another transparent": lambda: make_indexed(RED_BLUE, transparency=1),
    "half transparent": lambda: make_indexed(RED_BLUE, transparency=bytes([128, 0, 255, 255])),
    "gray": lambda: encode(GRAY),
    "gray, one grey transparent": lambda: encode(GRAY, transparency=int(PIXELS[0, 0, 0])),
    "gray, another transparent": lambda: encode(GRAY, transparency=int(PIXELS[3, 0, 0])),
    "colour": lambda: encode(Image.fromarray(PIXELS)),
    "colour, one transparent": lambda: encode(
        Image.fromarray(PIXELS), transparency=tuple(map(int, PIXELS[0, 0]))
    ),
    "turned": lambda: with_orientation(6),
    "mirrored": lambda: with_orientation(2),
    "upright": lambda: with_orientation(1),
    "one bit": lambda: encode(GRAY.convert("1")),
    "16 bits": lambda: encode(Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 200)),
    "gray and alpha": lambda: encode(Image.fromarray(np.ascontiguousarray(PIXELS[..., :2]))),
    "cmyk": lambda: encode(Image.fromarray(PIXELS).convert("CMYK"), "TIFF"),
    "floats": lambda: encode(Image.fromarray(PIXELS[..., 0] / np.float32(255)), "TIFF"),
    "palette with alpha": lambda: make_indexed(RED_BLUE, transparency=0).convert("PA"),
}


def test_pictures_that_look_different_have_different_keys():
    looks, keys = {}, {}
    for name, make in PICTURES.items():
        looks[name] = read_image(make()).tobytes()
        keys[name] = hash_samples([make()])[0]
        assert hash_samples([make()])[0] == keys[name]
        # What was looked at before is no other picture.
        seen = make()
        seen.load()
        read_image(seen)
        assert hash_samples([seen])[0] == keys[name]
    for first in PICTURES:
        for second in PICTURES:
            if looks[first] != looks[second]:
                assert keys[first] != keys[second], (first, second)


def test_what_does_not_change_a_picture_does_not_change_its_key():
    plain = hash_samples([with_orientation(1)])[0]
    assert plain == hash_samples([with_orientation(1, t306="2024:01:01 00:00:00")])[0]
    base = Image.fromarray(PIXELS)
    [plain] = hash_samples([base])
    for options in ({"dpi": (300, 300)}, {"icc_profile": b"profile"}, {"compress_level": 1}):
        assert hash_samples([encode(base, **options)])[0] == plain
    assert hash_samples([PIXELS.astype(">f4")]) == hash_samples([PIXELS.astype("<f4")])
    assert hash_samples([PIXELS[::2]]) == hash_samples([PIXELS[::2].copy()])
    assert hash_samples([PIXELS.astype("f4")]) != hash_samples([PIXELS.astype("f8")])


def test_indexed_pictures_in_one_cache(tmp_path):
    stream = Batched(make_pipeline(ImageLoader(8), ColorHistogram()), memory=tmp_path)
    pictures = [make() for make in PICTURES.values()]
    expected = make_pipeline(ImageLoader(8), ColorHistogram()).fit_transform(pictures)
    for _ in range(2):
        np.testing.assert_array_equal(stream.fit_transform(pictures), expected)


# --- networks -----------------------------------------------------------------------------------


def make_network():
    torch = pytest.importorskip("torch")
    from helpers.networks import SmallNet

    class Net(SmallNet):
        def __init__(self):
            super().__init__()
            self.register_buffer("shift", torch.zeros(1), persistent=False)
            self.table = {"gain": [1.0]}
            self.norm = torch.nn.BatchNorm2d(4)
            self.drop = torch.nn.Dropout(0.5)

        def forward(self, x):
            x = self.drop(self.norm(self.first(x) + self.shift)) * self.table["gain"][0]
            return self.head(self.second(self.act(x)).mean(dim=(2, 3)))

    return Net()


def edit_forward(net):
    before = type(net).forward
    type(net).forward = lambda self, x: before(self, 2 * x)


def patch_instance(net):
    net.forward = lambda x, forward=net.forward: forward(3 * x)


def swap(net):
    import torch

    net.act = torch.nn.GELU()


CHANGES = {
    "forward": edit_forward,
    "forward of the instance": patch_instance,
    "an attribute": lambda net: setattr(net, "gain", 2.0),
    "deep inside an attribute": lambda net: net.table["gain"].__setitem__(0, 2.0),
    "a buffer that is not saved": lambda net: net.shift.fill_(1.0),
    "a weight": lambda net: net.first.weight.data.mul_(1.5),
    "a setting of a layer": lambda net: setattr(net.first, "stride", (1, 1)),
    "a layer": swap,
    "a hook": lambda net: net.first.register_forward_hook(lambda m, i, out: out + 1),
    "a hook before": lambda net: net.first.register_forward_pre_hook(lambda m, i: (i[0] + 1,)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_changes_of_a_network_change_its_key(change):
    net = make_network()
    before = digest_value(net)
    assert digest_value(copy.deepcopy(net)) == before
    assert digest_value(make_network()) == before
    # Networks run in evaluation mode anyway.
    assert digest_value(copy.deepcopy(net).eval()) == before
    handle = net.register_forward_hook(print)
    handle.remove()
    assert digest_value(net) == before
    change(net)
    assert digest_value(net) != before


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_no_old_network_answers(engine, no_runtimes, tmp_path):
    images = PIXELS[np.newaxis]
    net = make_network()
    embedding = CNNEmbedding(net, layers=["second"], engine=engine, image_size=24, grid=1)
    embedding.set_params(cache_dir=tmp_path)
    before = embedding.fit_transform(images)
    for change in (edit_forward, CHANGES["a buffer that is not saved"], CHANGES["an attribute"]):
        change(net)
    net.table["gain"][0] = 3.0
    found = embedding.fit_transform(images)
    import torch

    with torch.inference_mode():
        tensor = torch.from_numpy(images / 127.5).float().permute(0, 3, 1, 2)
        net.eval()
        maps = net.second(net.act(3 * net.norm(net.first(tensor) + 1))).numpy()
    np.testing.assert_allclose(found[:, :6], maps.mean(axis=(2, 3)), rtol=1e-3, atol=1e-4)
    assert np.abs(found - before).max() > 1e-2


def test_a_search_computes_each_image_once(no_runtimes, tmp_path):
    from imgfeat.backbones.engines import NetworkRuntime

    images = rng.integers(0, 256, (16, 24, 24, 3), np.uint8)
    seen = []
    run = NetworkRuntime.run

    def counting(self, pixels, *arguments):
        seen.append(len(pixels))
        return run(self, pixels, *arguments)

    embedding = CNNEmbedding(make_network(), layers=["second"], engine="torch", image_size=24)
    search = OptunaSearchCV(
        make_pipeline(embedding, LogisticRegression()),
        {"logisticregression__C": [0.1, 1.0, 10.0]},
        n_trials=3,
        cv=2,
        sampler="grid",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NetworkRuntime, "run", counting)
        search.fit(images, np.arange(16) % 2)
    # And one of each trial, to see what its features are.
    assert sum(n for n in seen if n > 1) == 16


def test_networks_that_cannot_be_named_are_made_anew(no_runtimes):
    from helpers.networks import SmallNet

    class Handle:
        def __reduce__(self):
            raise TypeError("not to be pickled")

        def __deepcopy__(self, memo):
            return self

    net = SmallNet()
    net.handle = Handle()
    embedding = CNNEmbedding(net, layers=["first"], engine="torch", image_size=24, grid=1)
    before = embedding.fit_transform(PIXELS[np.newaxis])
    net.first.weight.data.mul_(2)
    net.first.bias.data.mul_(2)
    np.testing.assert_allclose(embedding.transform(PIXELS[np.newaxis]), 2 * before, rtol=1e-5)
