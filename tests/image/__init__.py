"""Tests of the images, which are built and run step by step without a Docker engine."""
