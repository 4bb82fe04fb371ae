"""Random damage to files of every kind that imgfeat reads: ``make fuzz``, and some in the tests."""
