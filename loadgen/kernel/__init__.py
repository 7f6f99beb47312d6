"""Reading the kernel: one source a module, parsing apart from opening."""
