"""Parts of ONNX graphs: the computations of features and of resizing as nodes."""
