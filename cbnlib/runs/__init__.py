"""Experiments, their runs, records on disk, and sweeps over many experiments."""
