"""What must be there before the first start: keys, certificates, the broker's configuration."""
