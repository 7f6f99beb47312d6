"""What people write, read with its place: problems, units, YAML, formulas."""
