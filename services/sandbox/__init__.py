"""What a development rail has to play with: parties, a meter, a bank account, an agreement."""
