"""Servers in processes of their own, fed by the station through a pipe."""
