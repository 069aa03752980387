"""Drift monitoring, challenges, operator requests."""
