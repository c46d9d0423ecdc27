"""The statements S1 to S5 as functions: costs, bounds and the networks that attain them."""
