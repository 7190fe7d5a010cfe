"""Manako (眼): deep learning for images, from first principles to production."""
