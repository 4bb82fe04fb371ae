"""Parts of ONNX graphs: the computations of features, trees and kernels as nodes."""
