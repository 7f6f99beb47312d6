"""Captured packets as connections: their segments, and the states that both sides pass through. Pure."""
