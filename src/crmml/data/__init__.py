"""Logs in: which column plays which role, cleaning, the engine, simulated logs, public data sets."""
