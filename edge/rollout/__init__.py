"""Rollout of a bundle to the stations of a plant: its steps, and the stores through which stations reach it."""
