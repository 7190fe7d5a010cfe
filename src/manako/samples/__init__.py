"""Embedded data: real handwritten digits, and generated scenes with exact truth."""
