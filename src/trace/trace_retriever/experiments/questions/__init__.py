"""The ten questions, a module each: tables in, an `Answer` out."""
