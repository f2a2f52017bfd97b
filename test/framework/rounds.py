"""A chain with rounds for tests: regtest's sizes and numbers, but for what rounds need.

    node = Node(chain=SPEC["name"], start=False)
    node.use_spec(SPEC)
    node.start()
"""

SPEC = {"name": "rounds", "hrp": "rnd", "d": 32, "layers": 2, "heads": 2, "ff": 96, "ctx": 32, "maturity": 20,
        "halving": 150, "round_blocks": 8, "round_work": 3, "round_reveal": 3, "segments": 4, "segment": 2,
        "run_ppm": 500000}
