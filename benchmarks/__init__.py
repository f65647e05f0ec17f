"""fastnet compared with its peers, and its kernels with the machine's limits: `python -m benchmarks --help`."""
