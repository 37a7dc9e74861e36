"""Take records from devices: read, verify, route, screen and store them, then send receipts."""
