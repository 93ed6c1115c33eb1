"""inkfire: turn a small language model into a creative writer with reinforcement learning from AI feedback.

Importing the package loads no torch and no HTTP client; each room is imported by the code that needs it.
"""

__version__ = "0.1.0"
