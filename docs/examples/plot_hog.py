"""
HOG: edges of a photograph
==========================

Histograms of oriented gradients describe shape. Every cell of the image has a histogram of the
orientations of its edges; `hog_image` draws each histogram as a star of lines.
"""

import matplotlib.pyplot as plt
from skimage.data import astronaut

from imgfeat import HOG, hog_image

photograph = astronaut()[:320, 60:380]

figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
axes[0].imshow(photograph)
axes[0].set_title("photograph")
for ax, size in zip(axes[1:], (8, 16), strict=True):
    ax.imshow(hog_image(photograph, pixels_per_cell=size) ** 0.5, cmap="gray")
    ax.set_title(f"cells of {size} pixels")
for ax in axes:
    ax.set_axis_off()

# %%
# A transformer returns the same histograms, normalised in blocks, as one row for each image.

hog = HOG(pixels_per_cell=16).fit(photograph[None])
print(hog.transform(photograph[None]).shape)
print(hog.get_feature_names_out()[:3])
