"""Where do the gateways' files and our books agree, and where not? Set-based statements over both sides at once."""
