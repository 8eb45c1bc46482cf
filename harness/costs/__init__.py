"""What runs cost: curves from scaling records, forecasts, how far up in length a model goes."""
