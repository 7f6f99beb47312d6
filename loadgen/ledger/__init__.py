"""The ledger of endings: the ways in which connections come to exist and to end, and what moves for each."""
