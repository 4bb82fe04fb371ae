"""Augmentation of batches: presets, single transforms, and transforms of torchvision."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import affine_transform
from torchvision.transforms import v2

from imgfeat.cli import augment_preview, main
from imgfeat.training.augment import (
    PRESETS,
    STRENGTHS,
    build_augmentation,
    describe_augmentation,
    list_transforms,
)
from imgfeat.training.transforms import draw_maps, resample

GEOMETRIC = sorted(set(list_transforms()) - {"color_jitter", "erasing"})


@pytest.fixture(scope="module")
def batch(photographs):
    return torch.from_numpy(photographs).permute(0, 3, 1, 2).float() / 255


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def build(augment, batch):
    _, channels, height, width = batch.shape
    return build_augmentation(augment, (height, width, channels))


def draw(augment, image, n=200):
    """Return many draws of one image."""
    batch = image.expand(n, *image.shape)
    return build(augment, batch)(batch, seeded())


@pytest.mark.parametrize("augment", [*PRESETS, *list_transforms()])
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_dtype_and_range_are_kept_and_the_input_is_not_changed(augment, channels, batch):
    images = batch[:, :channels, :, :40].contiguous()
    for dtype in (torch.float32, torch.float64, torch.float16):
        before = images.to(dtype)
        given = before.clone()
        result = build(augment, images)(given, seeded())
        assert (result.shape, result.dtype) == (given.shape, dtype)
        assert torch.equal(given, before)
        assert 0 <= result.min() <= result.max() <= 1
        assert not torch.equal(result, given)


@pytest.mark.parametrize("augment", [*PRESETS, *list_transforms()])
def test_each_image_has_its_own_random_numbers(augment, batch):
    draws = draw(augment, batch[0], n=30)
    assert len(torch.unique(draws.reshape(30, -1), dim=0)) > 1


@pytest.mark.parametrize("augment", [*PRESETS, v2.RandomRotation(20), torch.rand_like])
def test_the_generator_decides_and_the_global_state_stays(augment, batch):
    augmentation = build(augment, batch)
    state = torch.get_rng_state()
    first = augmentation(batch, seeded(1))
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert torch.equal(augmentation(batch, seeded(1)), first)
    assert not torch.equal(augmentation(batch, seeded(2)), first)


def test_a_seed_stands_for_a_generator_which_is_pickled(batch):
    one, other = (build_augmentation("strong", (64, 64, 3), seed=5) for _ in range(2))
    assert torch.equal(one(batch), other(batch))
    again = pickle.loads(pickle.dumps(one))
    assert torch.equal(one(batch), again(batch))
    unseeded = (build_augmentation("strong", (64, 64, 3))(batch) for _ in range(2))
    assert not torch.equal(*unseeded)


def match(draws, choices):
    """Return which of some images each draw is, none if it is none of them."""
    distances = torch.stack([(draws - choice).abs().amax(dim=(1, 2, 3)) for choice in choices])
    assert distances.amin(dim=0).max() < 1e-3
    return distances.argmin(dim=0)


def test_flips_are_those_of_an_array(batch):
    image = batch[0, :, :50]
    for name, axis in (("horizontal_flip", 2), ("vertical_flip", 1)):
        shares = match(draw(name, image), [image, image.flip(axis)]).bincount() / 200
        assert shares.min() > 0.3


def test_quarter_turns_are_those_of_an_array(batch):
    turned = [torch.rot90(batch[0], k, (1, 2)) for k in range(4)]
    assert (match(draw("rotation_90", batch[0]), turned).bincount() / 200).min() > 0.1
    draws = draw(["horizontal_flip", "vertical_flip", "rotation_90"], batch[0])
    every = [*turned, *(image.flip(2) for image in turned)]
    assert len(match(draws, every).unique()) == 8


@pytest.mark.parametrize("size", [(64, 64), (48, 64)])
def test_all_geometric_transforms_are_one_resampling_as_scipy_does_it(size, batch):
    images = batch[..., : size[0], : size[1]].double()
    maps = draw_maps([(name, STRENGTHS[name]) for name in GEOMETRIC], images.shape, seeded())
    center = (np.array(size) - 1) / 2
    for image, map_, result in zip(images, maps.numpy(), resample(images, maps), strict=True):
        linear, shift = map_[:2, :2][::-1, ::-1], map_[:2, 2][::-1]
        offset = center + shift - linear @ center
        for channel, found in zip(image.numpy(), result.numpy(), strict=True):
            expected = affine_transform(channel, linear, offset, order=1, mode="reflect")
            np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_rotation_and_a_translation_are_in_pixels():
    """One bright pixel, 20 to the right of the centre, goes where the angle says."""
    image = torch.zeros(1, 65, 65)
    image[0, 32, 52] = 1
    angles = []
    for result in draw("rotation", image, n=400):
        y, x = np.unravel_index(int(result.argmax()), (65, 65))
        assert np.hypot(y - 32, x - 52 + 20) == pytest.approx(20, abs=0.8)
        angles.append(np.rad2deg(np.arctan2(y - 32, x - 32)))
    assert min(angles) < -12
    assert max(angles) > 12
    assert max(np.abs(angles)) < 17


@pytest.mark.parametrize("name", GEOMETRIC)
def test_maps_stay_within_their_strength(name):
    maps = draw_maps([(name, 0.5)], (2000, 3, 40, 60), seeded())
    determinants = torch.linalg.det(maps[:, :2, :2])
    shifts = maps[:, :2, 2].abs().amax(dim=0)
    if name == "zoom":
        torch.testing.assert_close(determinants.sqrt().max(), torch.tensor(1.5), rtol=0.01, atol=0)
        torch.testing.assert_close(
            determinants.sqrt().min(), torch.tensor(1 / 1.5), rtol=0.01, atol=0
        )
    elif name == "crop":
        assert 0.45 < determinants.min() < 0.52
        assert 0.95 < determinants.max() <= 1
        corners = torch.tensor([[x, y, 1.0] for x in (-30, 30) for y in (-20, 20)])
        reached = (maps @ corners.T)[:, :2].abs().amax(dim=(0, 2))
        assert (reached <= torch.tensor([30.001, 20.001])).all()
    else:
        torch.testing.assert_close(determinants.abs(), torch.ones(2000))
    if name == "translation":
        assert (shifts > torch.tensor([29, 19])).all()
        assert (shifts <= torch.tensor([30, 20])).all()
    elif name != "crop":
        assert shifts.max() == 0


def test_jitter_changes_colors_within_its_strength():
    gray = torch.full((3, 8, 8), 0.4)
    means = draw("color_jitter", gray, n=1000).mean(dim=(1, 2, 3))
    # A picture of one grey has neither contrast nor saturation.
    assert 0.32 <= means.min() < 0.325
    assert 0.475 < means.max() <= 0.4801
    color = torch.stack([torch.full((8, 8), value) for value in (0.2, 0.4, 0.3)])
    hues = draw("color_jitter", color, n=100)
    ordered = (hues[:, 0] < hues[:, 2]) & (hues[:, 2] < hues[:, 1])
    assert ordered.all()


def test_factors_of_jitter_are_those_of_torchvision(batch, monkeypatch):
    from imgfeat.training import transforms

    monkeypatch.setattr(transforms, "_draw", lambda n, *_: torch.full((n,), 1.2))
    ours = transforms.jitter_colors(batch, 0.2, None)
    theirs = v2.functional.adjust_brightness(batch, 1.2)
    theirs = v2.functional.adjust_contrast(theirs, 1.2)
    theirs = v2.functional.adjust_saturation(theirs, 1.2)
    torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=0)


def test_erasing_fills_one_rectangle_with_the_mean(batch):
    image = batch[0]
    draws = draw("erasing", image, n=400)
    mean = image.mean(dim=(1, 2))
    changed = (draws != image).any(dim=1)
    areas = changed.float().mean(dim=(1, 2))
    erased = areas > 0
    assert 0.4 < erased.float().mean() < 0.6
    assert areas[erased].min() >= 0.01
    assert areas.max() <= 0.35
    for mask, result in zip(changed[erased], draws[erased], strict=True):
        rows, columns = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
        box = result[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        torch.testing.assert_close(box, mean[:, None, None].expand_as(box))


def test_light_keeps_every_digit_nearest_to_its_original():
    """A flip or a large turn would take many images past those of other digits."""
    from sklearn.neighbors import KNeighborsClassifier

    from imgfeat.datasets import load_digits

    digits = load_digits()
    pixels = torch.from_numpy(digits.images[:, None] / np.float32(255))
    known = KNeighborsClassifier(1).fit(pixels.flatten(1), digits.target)
    shares = {}
    for augment in ("light", ["vertical_flip", "rotation_90"]):
        changed = build(augment, pixels)(pixels, seeded())
        shares[str(augment)] = known.score(changed.flatten(1), digits.target)
    assert shares.pop("light") > 0.93
    assert max(shares.values()) < 0.7


def test_transforms_of_torchvision_are_drawn_for_each_image(batch):
    for transform in (v2.RandomRotation(30), v2.Compose([v2.RandomAffine(0, (0.3, 0.3))])):
        draws = draw(transform, batch[0], n=20)
        assert len(torch.unique(draws.reshape(20, -1), dim=0)) > 10
    calls = []
    build(lambda x: calls.append(x.shape) or x, batch)(batch)
    assert calls == [batch.shape]


def test_none_changes_nothing_and_an_empty_batch_stays_empty(batch):
    assert torch.equal(build(None, batch)(batch), batch)
    for augment in (None, "strong", v2.RandomRotation(30)):
        assert build(augment, batch)(batch[:0]).shape == (0, 3, 64, 64)


def test_a_list_is_applied_in_one_order(batch):
    one, other = ["zoom", "horizontal_flip"], ["horizontal_flip", "zoom"]
    assert torch.equal(build(one, batch)(batch, seeded()), build(other, batch)(batch, seeded()))
    assert describe_augmentation(one) == "horizontal_flip (0.5), zoom (0.2)"


@pytest.mark.parametrize(
    ("augment", "error", "message"),
    [
        ("standrad", ValueError, "Did you mean standard"),
        (["horizontal_flipp"], ValueError, "Did you mean horizontal_flip"),
        (["light", "crop"], ValueError, "Presets, which stand alone"),
        (3, TypeError, "augment must be None"),
        ([3], TypeError, "augment must be None"),
    ],
)
def test_wrong_augmentations(augment, error, message):
    with pytest.raises(error, match=message):
        build_augmentation(augment, (8, 8, 1))


def test_wrong_images(batch):
    with pytest.raises(ValueError, match=r"1 or 3 channels, got \(8, 8, 4\)"):
        build_augmentation("light", (8, 8, 4))
    augmentation = build("light", batch)
    with pytest.raises(ValueError, match=r"must have shape \(n, 3, 64, 64\)"):
        augmentation(batch[:, :1])
    with pytest.raises(TypeError, match="floating point in"):
        augmentation((batch * 255).to(torch.uint8))
    with pytest.raises(ValueError, match="must return images of the shape"):
        build(v2.CenterCrop(8), batch)(batch)
    with pytest.raises(ValueError, match="must return images of the shape"):
        build(lambda images: images[:1], batch)(batch)


def preview(capsys, *arguments):
    status = main(["augment-preview", *map(str, arguments)])
    return status, *capsys.readouterr()


def test_the_preview_shows_originals_beside_their_copies(capsys, texture_folder, tmp_path):
    out = tmp_path / "sheet.png"
    options = ["--images", 3, "--draws", 4, "--size", 48, "--augment", "vertical_flip"]
    status, printed, _ = preview(capsys, texture_folder, "--out", out, *options)
    assert (status, printed) == (0, f"{out}: 3 images, 4 copies of each\n")
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
    first = np.asarray(Image.open(out))
    assert first.shape[1] > first.shape[0] > 300
    preview(capsys, texture_folder, "--out", out, *options)
    np.testing.assert_array_equal(np.asarray(Image.open(out)), first)
    preview(capsys, texture_folder, "--out", out, *options, "--seed", 1)
    assert not np.array_equal(np.asarray(Image.open(out)), first)


def test_the_sheet_has_one_row_an_image_and_names_the_transforms(photographs):
    copies = augment_preview.draw_copies(photographs[:2], build_flip(), 3)
    figure = augment_preview.draw_sheet(photographs[:2], copies, ["$a", "b" * 40], "light: zoom")
    axes = np.array(figure.axes).reshape(2, 4)
    for row, image in zip(axes, photographs[:2], strict=True):
        shown = [ax.images[0].get_array() for ax in row]
        np.testing.assert_array_equal(shown[0], image)
        for copy in shown[1:]:
            np.testing.assert_allclose(copy * 255, image[:, ::-1], atol=1e-3)
    assert [ax.get_title() for ax in axes[0, :2]] == ["original", "augmented"]
    assert axes[0, 0].get_ylabel() == "$a"
    assert figure.get_suptitle() == "light: zoom"


def build_flip():
    return build_augmentation(lambda images: images.flip(-1), (64, 64, 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--augment", "lihgt"], "Did you mean light"),
        (["--augment", "crop", "flip"], "there is no transform 'flip'"),
        (["--out", "sheet.jpg"], "must name a .png file"),
        (["--out", "folder.png"], "is a folder"),
    ],
)
def test_wrong_options_of_the_preview(
    capsys, options, message, texture_folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    status, _, err = preview(capsys, texture_folder, *options)
    assert (status, len(err.splitlines())) == (2, 1)
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_the_preview_of_a_folder_without_images(capsys, tmp_path):
    status, _, err = preview(capsys, tmp_path, "--out", tmp_path / "sheet.png")
    assert status == 2
    assert "no images" in err.lower()
    with pytest.raises(SystemExit):
        preview(capsys, tmp_path, "--draws", "0")
    assert "must be 1 or more" in capsys.readouterr().err
