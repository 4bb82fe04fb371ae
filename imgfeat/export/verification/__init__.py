"""Verification that an exported graph computes what its pipeline computes."""
