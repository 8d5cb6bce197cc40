"""What interventions are made of: pixels, attention masks, and the scores by which patches are removed."""
