"""Needles in a haystack, drawn and not written: how far back can what was said be found again?"""
