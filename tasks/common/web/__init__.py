"""The web page on which trained runs are tried."""
