"""Pretrained networks, their layers, and the engines that run them."""
