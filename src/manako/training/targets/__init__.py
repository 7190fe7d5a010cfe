"""The learning half of each task: true results of a batch as tensors. One file a task, named like it."""
