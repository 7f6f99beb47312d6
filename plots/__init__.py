"""Figures: records to columns, columns to one Figure a module."""
