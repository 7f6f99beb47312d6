"""What did happen: pure functions of the records."""
