"""Groupings of ordered rows in one pass, batch by batch of whole customers; see `program`."""
