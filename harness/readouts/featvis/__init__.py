"""Feature visualization: optimized pictures, what is read of them, and contact sheets."""
