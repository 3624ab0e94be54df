"""Buy-till-you-die models: how often customers buy, for how long, and for how much; maximum likelihood."""
