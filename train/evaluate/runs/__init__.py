"""Several runs side by side: compared, pooled, one after the other."""
