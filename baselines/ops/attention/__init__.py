"""Attention: by softmax over all positions or within windows, and by kernel features."""
