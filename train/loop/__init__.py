"""The training loop: runs, epochs, learning rate, history, distributed training."""
