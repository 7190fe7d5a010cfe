"""Prediction, export format and evaluation of a finished model. Nothing here imports PyTorch."""
