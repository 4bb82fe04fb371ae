"""Features that outlive the call: keyed by what made them, and by the images they are of."""
