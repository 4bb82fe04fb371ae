"""Studies in storages: what identifies them, and which process runs which trial."""
