"""Pure settlement protocol: signing, netting, state tree, batch codec and transition. No I/O, clocks or floats."""

__all__: list[str] = []
