"""Random damage to files of every kind that imgfeat reads: ``make fuzz``, a minute in the tests."""
