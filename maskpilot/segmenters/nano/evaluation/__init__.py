"""What the small model can do and what not, measured beside what a naive answer would score."""
