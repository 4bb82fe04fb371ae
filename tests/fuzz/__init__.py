"""Fuzz tests of all file formats that imgfeat reads; ``make fuzz`` runs them for longer."""
