"""
Visual words: a codebook of patches
===================================

`BagOfVisualWords` clusters small patches of the training images. The centres are the words of a
codebook, and the features of an image are how often each word occurs in it.
"""

import matplotlib.pyplot as plt
import numpy as np

from imgfeat import BagOfVisualWords
from imgfeat.datasets import load_textures

textures = load_textures("train")
words = BagOfVisualWords(n_words=32, patch_size=8, n_samples=5000, random_state=0)
features = words.fit_transform(textures.images)
print(features.shape)

# %%
# The words are centres of whitened patches; undoing the whitening shows them as pixels.

patches = words.words_ @ np.linalg.pinv(words.projection_) + words.center_
figure, axes = plt.subplots(4, 8, figsize=(8, 4.2), layout="constrained")
for ax, patch in zip(axes.flat, patches, strict=True):
    ax.imshow(patch.reshape(8, 8), cmap="gray")
    ax.set_axis_off()
figure.suptitle("the 32 words")

# %%
# The words that occur differ from texture to texture.

figure, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
for offset, name in enumerate(("brick", "grass", "gravel")):
    mean = features[textures.target == name].mean(axis=0)
    ax.bar(np.arange(32) + 0.27 * (offset - 1), mean, width=0.27, label=name)
ax.set(xlabel="word", ylabel="mean share of the word")
ax.legend()
