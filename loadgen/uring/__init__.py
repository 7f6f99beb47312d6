"""io_uring by mmap and ctypes, with nothing of churn in it.

abi    the kernel's header <linux/io_uring.h>: layouts and numbers
ring   one ring: made, filled, entered, reaped
offer  what this kernel lets this process do
"""
