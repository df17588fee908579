"""Predictions and scores of a trained model on files, tables, arrays and data sets."""
