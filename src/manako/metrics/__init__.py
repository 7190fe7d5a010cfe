"""What several tasks need to score predictions and scikit-learn does not have: intervals, calibration. NumPy only."""
