"""The network, its circular convolutions, and the frequencies of a cyclic grid."""
