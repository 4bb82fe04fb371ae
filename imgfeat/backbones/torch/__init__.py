"""Networks run in torch."""
