"""Take payments at a merchant's terminal: check vouchers offline, keep caps and day totals."""
