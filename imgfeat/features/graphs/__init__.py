"""Features as ONNX graphs: what a kernel computes on a CPU, as nodes, one feature a file.

The exporter writes them into the graphs of pipelines; `HOG` and `LBP` run theirs on a GPU.
"""
