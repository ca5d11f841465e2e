"""What goes with a model that is handed on: its card, its manifest, its evidence, and their verification."""
