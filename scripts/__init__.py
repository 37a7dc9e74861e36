"""The composition roots: each script starts one process of the rail, or of its surroundings."""
