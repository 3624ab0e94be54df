"""What to do: who gets which coupon, under a budget."""
