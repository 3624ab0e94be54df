"""Everything that looks at time: aggregates, targets, cutoffs, and the tables built from them."""
