"""What the test modules share: planted models whose answer is known, pictures that fit them, ledgers and plans."""
