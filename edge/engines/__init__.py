"""Inference engines: the contract, the registry, and one implementation for each runtime."""
