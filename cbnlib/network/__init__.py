"""What is trained: frequencies of a cyclic grid, circular convolutions, and the network."""
