"""The parts of the simulated log: the clock, the world (customers, items), the events."""
