"""Parts of ONNX graphs: arithmetic, histograms, grids and resizing, as nodes."""
