"""What the functional tests stand on: daemons, their RPC, a peer that says whatever a test wants, and TAP."""
