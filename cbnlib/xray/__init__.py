"""What can be said of any network of PyTorch, on one page: `python -m cbnlib.xray`."""
