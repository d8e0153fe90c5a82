"""The meaning of Holdfast: one package per noun, and the small technical kit below them."""
