"""Option models: the only package of the exchange where floats and the C math library are allowed."""
