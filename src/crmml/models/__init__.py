"""Plain scikit-learn estimators on `X, y`: churn, lifetime value, segments."""
