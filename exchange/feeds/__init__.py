"""Where prices and instruments come from in the demo: a seeded index, a catalogue, and the pricer that submits them."""
