"""
LBP: codes of local texture
===========================

A local binary pattern compares each pixel with the neighbours around it. The codes make textures
visible that have no clear edges; their histogram is what `LBP` returns.
"""

import matplotlib.pyplot as plt
from skimage.data import brick, grass, gravel

from imgfeat import LBP, local_binary_pattern

textures = {"brick": brick(), "grass": grass(), "gravel": gravel()}

figure, axes = plt.subplots(3, 3, figsize=(9, 8), layout="constrained")
for column, (name, picture) in zip(axes.T, textures.items(), strict=True):
    picture = picture[:160, :160]
    codes = local_binary_pattern(picture, n_points=8, radius=2, method="uniform")
    histogram = LBP(n_points=8, radius=2).fit_transform(picture[None])[0]
    column[0].imshow(picture, cmap="gray")
    column[0].set_title(name)
    column[1].imshow(codes, cmap="viridis")
    column[1].set_title("codes")
    column[2].bar(range(len(histogram)), histogram)
    column[2].set(title="histogram", xlabel="code", ylim=(0, 0.4))
for ax in axes[:2].flat:
    ax.set_axis_off()
