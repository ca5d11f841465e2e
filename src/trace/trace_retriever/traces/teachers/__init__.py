"""Teachers behind one small interface: they write traces, judge complexity and verify."""
