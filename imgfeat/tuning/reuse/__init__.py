"""Computations that the trials of a search share: features of stateless steps, and distances."""
