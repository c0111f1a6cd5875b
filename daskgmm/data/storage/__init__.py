"""Local folders and object stores: addresses, credentials, failures and retries."""
