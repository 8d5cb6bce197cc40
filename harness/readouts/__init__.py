"""What is read: one bounded number per image, or per member of a census."""
