"""Continuous signals: remember them exactly, or read a patient's vital signs from them."""
