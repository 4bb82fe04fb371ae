"""
Embedding: layers of a network as features
==========================================

`CNNEmbedding` returns pooled layers of a pretrained network, by default middle layers of
EfficientNet-Lite0, whose weights come with the extra ``deep``. Two principal components of the
features separate three textures, without any training.
"""

import matplotlib.pyplot as plt
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from imgfeat import CNNEmbedding, ImageLoader
from imgfeat.datasets import load_textures

textures = load_textures("test")
embedding = make_pipeline(ImageLoader(96), CNNEmbedding(image_size=96))
features = embedding.fit_transform(textures.images)
print(features.shape, embedding.get_feature_names_out()[0])

# %%
# Each point is one patch of 64 x 64 pixels.

places = make_pipeline(StandardScaler(), PCA(2)).fit_transform(features)
figure, ax = plt.subplots(figsize=(6, 4.5), layout="constrained")
for name in ("brick", "grass", "gravel"):
    chosen = textures.target == name
    ax.scatter(*places[chosen].T, s=16, label=name)
ax.set(xlabel="first component", ylabel="second component")
ax.legend()
