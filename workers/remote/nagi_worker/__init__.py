"""Python side of Nagi: reference numerics, pre-training of the bundled base and (issue 4) the remote worker."""
