"""What all processes of a run share: JSON lines, their codec, and the clock that shows a stop."""
