"""What a person or a scheduler starts: train, backtest, track, score, and the command line."""
