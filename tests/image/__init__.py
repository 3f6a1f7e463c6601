"""The images, built and run step by step without a Docker engine."""
