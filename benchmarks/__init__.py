"""fastnet beside its peers, its kernels beside the machine's limits: `python -m benchmarks --help`."""
