"""What a run leaves: record types, latencies, gaps, damage, and the run directory."""
