"""Write docs/features.md and its pictures from the docstrings of the features and from features built on small logs.

python -m tools.features_page
"""
