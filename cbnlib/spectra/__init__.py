"""Singular values by frequency, and the bottleneck that they show."""
