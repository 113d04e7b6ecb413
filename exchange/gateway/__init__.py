"""The exchange's edge: sockets, logins, signatures, streams. Import the modules, not the package."""
