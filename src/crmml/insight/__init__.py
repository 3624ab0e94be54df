"""What happened, and what goes together: baskets and the rules in them."""
