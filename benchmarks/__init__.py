"""What is measured, how, and the last figures with the machine they came from."""
