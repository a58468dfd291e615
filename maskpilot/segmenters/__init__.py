"""Segmenters: what finds masks. `base` says what one is; the implementations load torch lazily."""
