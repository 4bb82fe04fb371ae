"""One converter to ONNX a file; importing it registers it with skl2onnx."""
