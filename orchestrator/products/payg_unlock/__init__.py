"""Pay-as-you-go unlock: days that a customer pays for become a token for the device."""
