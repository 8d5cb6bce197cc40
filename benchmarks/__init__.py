"""What is measured of this project as a whole; nothing here is installed with it."""
