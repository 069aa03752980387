"""Training: network, losses, data readers, splits, metrics, the loop."""
