"""What stands between ffe and services that may fail."""
