"""Random damage to files of every kind that imgfeat reads: ``make fuzz``, and a minute in the tests."""
