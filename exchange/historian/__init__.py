"""History without an end: everything that happened to a subaccount, on disk, by number."""
