"""Gradient-boosted trees for the models and for the recommenders: the only home of LightGBM."""
