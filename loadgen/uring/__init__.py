"""io_uring by mmap and ctypes, with nothing of churn in it.

abi    what the kernel's header <linux/io_uring.h> says: layouts and numbers
ring   one ring: made, filled, entered, reaped
offer  what this kernel lets this process do
"""
