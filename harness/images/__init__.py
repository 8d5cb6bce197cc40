"""Where pictures come from: folders, archives, datasets, procedural ones; with labels and object marks."""
