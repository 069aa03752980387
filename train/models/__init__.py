"""Networks, checkpoints, fine-tuning."""
