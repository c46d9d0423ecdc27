"""How it is trained: the regularised loss, minimised step by step, alone or as an ensemble."""
