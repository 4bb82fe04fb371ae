"""Transformers as graphs, and pictures to compare them on."""

import numpy as np
from skimage import data

from helpers import exported


def convert(transformer, images):
    """Return a session of the transformer's graph, on one thread."""
    return exported.open_session(exported.export(transformer.fit(images), images.shape[1:]))


def run_graph(transformer, images):
    """Return what the graph makes of all images, and see that smaller batches agree."""
    model = exported.export(transformer.fit(images), images.shape[1:])
    return exported.run_batches(model, images, atol=1e-7)


def take_patches(height, width, *, color, n=24, seed=0):
    """Cut patches of photographs, whole, dim and almost black, and a flat one."""
    photographs = (data.astronaut(), data.coffee(), data.chelsea())
    if not color:
        photographs = (data.camera(), data.brick(), data.coins())
    rng = np.random.default_rng(seed)
    patches = []
    for i in range(n):
        photograph = photographs[i % 3]
        y = rng.integers(photograph.shape[0] - height + 1)
        x = rng.integers(photograph.shape[1] - width + 1)
        patches.append(photograph[y : y + height, x : x + width] // (1, 1, 16, 64)[i % 4])
    patches[-1] = np.full_like(patches[-1], 77)
    return np.stack(patches)
