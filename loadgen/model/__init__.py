"""What should happen: predictions, from the kernel facts alone."""
