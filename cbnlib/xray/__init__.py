"""What can be said of any network of PyTorch, on one page, by `python -m cbnlib.xray`."""
