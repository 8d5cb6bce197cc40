"""What linear inverses bring back of the pictures, of colours and of shapes (arXiv 2412.06534)."""
