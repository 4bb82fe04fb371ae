"""
GLCM: properties of textures
============================

Grey-level co-occurrence matrices count which grey levels lie beside each other. `GLCM` returns
Haralick's properties of the matrices; two of them already separate three textures.
"""

import matplotlib.pyplot as plt

from imgfeat import GLCM
from imgfeat.datasets import load_textures

textures = load_textures()
glcm = GLCM(properties=("contrast", "homogeneity"), average=True).fit(textures.images)
contrast, homogeneity = glcm.transform(textures.images).T
print(glcm.get_feature_names_out())

# %%
# Each point is one patch of 64 x 64 pixels.

figure, ax = plt.subplots(figsize=(6, 4.5), layout="constrained")
for name in ("brick", "grass", "gravel"):
    chosen = textures.target == name
    ax.scatter(contrast[chosen], homogeneity[chosen], s=14, label=name)
ax.set(xlabel="contrast", ylabel="homogeneity")
ax.legend()
