"""The drivers: what makes connections, each behind one small interface."""
