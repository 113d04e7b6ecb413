"""How the parts talk: one interface, several carriers."""
