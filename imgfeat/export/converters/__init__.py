"""Converters of estimators to ONNX: each file holds one, and adds it to imgfeat's registry."""
