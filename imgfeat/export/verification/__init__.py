"""Proof that an exported graph gives what its pipeline gives."""
