"""The language outside: requests, replies, objects, channels and error texts of the Derive V3 protocol.

Import the modules, not the package.
"""
