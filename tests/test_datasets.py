import struct

import numpy as np
import pytest
from PIL import Image
from skimage import data

from imgfeat import datasets


def test_folder_is_sorted_and_complete(texture_folder):
    paths, labels = datasets.load_folder(texture_folder)
    assert paths.tolist() == sorted(str(p) for p in texture_folder.glob("*/*.png"))
    assert labels.tolist() == ["brick"] * 12 + ["grass"] * 12


def test_folder_skips_hidden_files_and_looks_below(tmp_path):
    for name in ("a", "b/deeper", ".git"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("L", (4, 4)).save(tmp_path / name / "1.PNG")
    (tmp_path / "a" / ".hidden.png").write_bytes(b"")
    (tmp_path / "a" / "notes.txt").write_text("no image")
    paths, labels = datasets.load_folder(tmp_path)
    assert labels.tolist() == ["a", "b"]
    assert paths[1].endswith("deeper/1.PNG")


def test_verify_drops_files_with_their_labels(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(2):
            Image.new("L", (4, 4)).save(tmp_path / name / f"{i}.png")
    (tmp_path / "a" / "0.png").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match=r"Left out 1 file") as caught:
        paths, labels = datasets.load_folder(tmp_path, verify=True)
    assert str(tmp_path / "a" / "0.png") in str(caught[0].message)
    assert labels.tolist() == ["a", "b", "b"]
    assert len(paths) == 3


def test_bad_folders_are_explained(tmp_path):
    with pytest.raises(ValueError, match="is not a folder"):
        datasets.load_folder(tmp_path / "absent")
    with pytest.raises(ValueError, match="none"):
        datasets.load_folder(tmp_path)
    (tmp_path / "only").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "only" / "1.png")
    with pytest.raises(ValueError, match="two or more classes, got \\['only'\\]"):
        datasets.load_folder(tmp_path)


def test_empty_classes_are_reported(texture_folder, tmp_path):
    for name in ("a", "b", "empty"):
        (tmp_path / name).mkdir()
    for name in ("a", "b"):
        Image.new("L", (4, 4)).save(tmp_path / name / "1.png")
    with pytest.warns(UserWarning, match="empty"):
        _, labels = datasets.load_folder(tmp_path)
    assert set(labels) == {"a", "b"}


@pytest.mark.parametrize("fold", range(4))
def test_texture_patches_share_no_pixel(fold, monkeypatch):
    # Pictures whose pixels say where they are: each value stands in one place.
    where = np.arange(512 * 512).reshape(512, 512)
    for name in ("brick", "grass", "gravel"):
        monkeypatch.setattr(data, name, lambda: where)
    train = datasets.load_textures("train", patch_size=50, fold=fold)
    test = datasets.load_textures("test", patch_size=50, fold=fold)
    brick = train.target == "brick"
    assert np.unique(train.images[brick]).size == train.images[brick].size
    assert not np.intersect1d(train.images, test.images).size


def test_textures_are_the_pictures():
    patches = datasets.load_textures("train", patch_size=256, fold=2)
    assert patches.target.tolist() == ["brick"] * 2 + ["grass"] * 2 + ["gravel"] * 2
    np.testing.assert_array_equal(patches.images[1], data.brick()[:256, 256:])


@pytest.mark.parametrize("bad", [{"patch_size": 0}, {"fold": 4}, {"subset": "valid"}])
def test_texture_parameters_are_checked(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        datasets.load_textures(**bad)


def test_faces_and_digits():
    faces, digits = datasets.load_faces(), datasets.load_digits()
    assert faces.images.shape == (200, 25, 25)
    assert (faces.target == "face").sum() == 100
    assert digits.images.shape == (1797, 8, 8)
    for bunch in (faces, digits):
        assert bunch.images.min() >= 0
        assert bunch.images.max() <= 1


def write_idx(path, array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.tobytes())


def test_fashion_mnist_from_idx_files(tmp_path):
    images = np.arange(3 * 28 * 28, dtype=np.uint8).reshape(3, 28, 28)
    for kind, n in (("train", 3), ("t10k", 2)):
        write_idx(tmp_path / f"{kind}-images-idx3-ubyte", images[:n])
        write_idx(tmp_path / f"{kind}-labels-idx1-ubyte", np.arange(n, dtype=np.uint8))
    bunch = datasets.load_fashion_mnist("all", folder=tmp_path)
    np.testing.assert_array_equal(bunch.images, np.concatenate([images, images[:2]]))
    assert bunch.target.tolist() == ["t-shirt", "trouser", "pullover", "t-shirt", "trouser"]
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(b"\x01\x02\x03\x04rest")
    with pytest.raises(ValueError, match="IDX"):
        datasets.load_fashion_mnist("test", folder=tmp_path)


def test_fashion_mnist_is_fetched_where_it_is_not_installed(tmp_path, monkeypatch):
    pixels = np.zeros((70000, 784), np.uint8)
    labels = np.array(["9"] * 70000)

    def fetch_openml(name, **options):
        assert (name, options["version"]) == ("Fashion-MNIST", 1)
        return pixels, labels

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch_openml)
    bunch = datasets.load_fashion_mnist("test", folder=tmp_path / "absent")
    assert bunch.images.shape == (10000, 28, 28)
    assert set(bunch.target) == {"ankle boot"}
