"""The language inside: frozen values without I/O, clock or floats. Import the modules, not the package."""
