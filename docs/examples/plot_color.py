"""
Colour histograms
=================

`ColorHistogram` counts colours in RGB, HSV or Lab, in each cell of a grid.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import hsv_to_rgb
from skimage.data import chelsea, rocket
from sklearn.datasets import load_sample_image

from imgfeat import ColorHistogram, ImageLoader

names = ["cat", "flower", "rocket"]
flower = load_sample_image("flower.jpg")
images = ImageLoader(128, resize="crop").transform([chelsea(), flower, rocket()])
histogram = ColorHistogram(space="hsv", bins=12).fit(images)
features = histogram.transform(images)
print(histogram.get_feature_names_out()[:3], features.shape)

# %%
# The first twelve features are the shares of hues: red, yellow, green, blue and back to red.

hues = hsv_to_rgb(np.column_stack([(np.arange(12) + 0.5) / 12, np.ones(12), np.full(12, 0.9)]))
figure, axes = plt.subplots(2, 3, figsize=(9, 5.4), layout="constrained")
for column, name, image, row in zip(axes.T, names, images, features, strict=True):
    column[0].imshow(image)
    column[0].set_title(name)
    column[0].set_axis_off()
    column[1].bar(range(12), row[:12], color=hues)
    column[1].set(xlabel="hue", ylabel="share of pixels", ylim=(0, 1))
