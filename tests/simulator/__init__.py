"""A discrete-event simulation of functions, their fleet and a server, for the manager's policies.

``python -m tests.simulator --help`` says what it can do. The decisions and the backoffs are the manager's own
code; what is simulated is everything around them. docs/simulator.md says how far it can be trusted.
"""
