"""Files, JSON lines, pictures and progress: what every package reads and writes through."""
