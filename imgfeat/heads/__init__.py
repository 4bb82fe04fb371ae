"""Classifiers and their parts that scikit-learn lacks; `imgfeat.ensembles` puts them together."""
