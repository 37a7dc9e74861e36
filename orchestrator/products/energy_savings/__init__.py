"""Energy savings: what a site did not use, against its own past and the weather, is shared."""
