"""What the book adds to its text: figures, claims with verdicts, and helpers of notebooks."""
