"""The book's furniture: figures, claims with verdicts, and what notebooks need around them."""
