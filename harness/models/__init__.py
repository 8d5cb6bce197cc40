"""Models as subjects: a name becomes a chain of blocks with sites that can be read and edited."""
