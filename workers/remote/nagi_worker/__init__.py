"""Python side of Nagi: the remote worker, reference numerics, and the pre-training of the bundled base."""

__version__ = "0.1.0"
