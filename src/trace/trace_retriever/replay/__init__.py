"""The paper replayed: its published tables as data, what they support, and what its 7B run would take."""
