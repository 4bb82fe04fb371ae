"""Studies in storages: opening, identity, and heartbeats of the processes that share them."""
