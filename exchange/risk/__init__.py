"""Margin rules as pure functions of plain integers. Import the modules, not the package."""
