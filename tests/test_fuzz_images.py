import numpy as np
from fuzz import images


def test_damaged_images_give_pixels_or_the_error():
    outcomes = images.fuzz(np.random.default_rng(0), n=4000)
    assert outcomes.keys() == {"read", "refused", "looked at", "not opened"}


def test_every_seed_is_read():
    for name, content in images.make_seeds().items():
        whole = images.Damaged(name, content, "rgb", "image", strict=True, look="read")
        assert images.check(whole) == "read", name
