"""Finds plugins and loads them, writes new ones, lists, cites and checks them."""
