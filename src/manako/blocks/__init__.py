"""Layers and bases that at least two models use. PyTorch."""
