"""Learning: from a folder of samples to a checkpoint. Needs PyTorch (`pip install manako[train]`)."""
