"""The auditor: what a bundle must hold, and a verifier that needs nothing but the bundle."""
