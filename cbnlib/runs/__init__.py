"""What is kept: experiments, their runs, records on disk, and sweeps over many of them."""
