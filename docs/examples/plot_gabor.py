"""
Gabor: waves of several lengths and directions
==============================================

`Gabor` measures how strongly an image responds to waves of several frequencies and orientations.
The filters are those of ``skimage.filters.gabor_kernel``.
"""

import matplotlib.pyplot as plt
import numpy as np
from skimage.data import brick, grass, gravel
from skimage.filters import gabor_kernel

from imgfeat import Gabor

frequencies, n_orientations = (0.1, 0.2, 0.4), 4
figure, axes = plt.subplots(3, 4, figsize=(6, 4.8), layout="constrained")
for row, frequency in zip(axes, frequencies, strict=True):
    for ax, step in zip(row, range(n_orientations), strict=True):
        kernel = gabor_kernel(frequency, theta=np.pi * step / n_orientations).real
        ax.imshow(kernel, cmap="RdBu", vmin=-abs(kernel).max(), vmax=abs(kernel).max())
        ax.set_title(f"{frequency}, {180 * step // n_orientations}°", fontsize=9)
        ax.set_axis_off()

# %%
# The mean strength of the responses of three textures: bricks respond to horizontal and vertical
# joints, grass and gravel alike in all directions.

gabor = Gabor(frequencies, n_orientations, pooling="mean")
images = {"brick": brick(), "grass": grass(), "gravel": gravel()}
responses = gabor.fit_transform(np.stack([picture[:256, :256] for picture in images.values()]))
figure, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
for ax, name, response in zip(axes, images, responses, strict=True):
    shown = ax.imshow(response.reshape(3, 4), vmin=0, vmax=responses.max(), cmap="magma")
    ax.set_xticks(range(4), ["0°", "45°", "90°", "135°"])
    ax.set_yticks(range(3), frequencies)
    ax.set(title=name, xlabel="orientation", ylabel="frequency")
figure.colorbar(shown, ax=axes)
