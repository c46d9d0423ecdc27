"""What a reader meets in a real browser: each module looks at one side of a rendered page."""
