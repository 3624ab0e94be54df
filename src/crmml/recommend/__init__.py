"""Recommenders: ids in, table out."""
