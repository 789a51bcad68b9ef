"""What is taken of a pack, and which packs are current."""
