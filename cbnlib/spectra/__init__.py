"""What is read off: singular values per frequency, and the bottleneck that they show."""
