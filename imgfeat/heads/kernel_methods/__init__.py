"""Parts of KernelSVC: RBF kernels, their weights, landmarks, and the solvers of both problems."""
