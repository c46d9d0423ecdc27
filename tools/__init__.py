"""The build of the book: pairing, execution, rendering and the checks of the site."""
