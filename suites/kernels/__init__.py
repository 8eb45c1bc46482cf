"""Known kernels to be learnt: which shapes of the past can a model take?"""
