"""The known bugs of authenticating proxies, R1 to R50, as tests over raw sockets: see docs/security-tests.md."""
