"""What a reader meets in a real browser. Each module looks at one side of a rendered page."""
